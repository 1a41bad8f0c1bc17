"""Claim 4: Prometheus saw the same: no error counter moved, the exported longest gaps agree with the samples."""

from __future__ import annotations

import numpy as np

from drainproof.record import Outcome, Samples
from drainproof.streams import AWAY, CLIENT, CONTROL, OUTSIDE, Stream
from reports.checks.outages import expected, kinds
from reports.evidence import UNPLANNED, Evidence
from reports.series import INTERVAL_SECONDS, Series, holes, series
from reports.spans import Span
from reports.streams import CLINIC, kind_of, longest, timed_streams
from reports.verdict import Claim, Facts, Part, Verdict, sum_up

ID = "prometheus.load"
TITLE = "Prometheus saw no error counter move, and the exported longest gaps agree with the samples"
TITLE_OF_FAULTS = "Prometheus counted every success and error of the samples, and the exported longest gaps agree"
MISSING_SHARE = 0.2
"""More missing scrapes than this share, and Prometheus is no second witness."""
EDGE_SECONDS = 5.0
"""Counters keep what happened between two scrapes; a longer silence at the end of the window hides what followed."""
SCRAPE_SECONDS = 1.5
"""How far a scrape's time may lie from the state it exported: one interval and a half."""
COUNT_SLACK, COUNT_SHARE = 5.0, 0.2
"""Counted and sampled successes may differ by the greater of so many and this share: the hosts' clocks differ."""


def check(evidence: Evidence) -> Claim:
    """Judge the counters, the scrapes and the exported gaps of the load's own exporters."""
    operations = series(evidence, "operations")
    parts = [_scrapes(evidence, instance, operations) for instance in sorted({_instance(one) for one in operations})]
    parts += _counters(evidence, operations)
    if not any(kind_of(one.labels.get("stream", "")) == CLINIC for one in operations):
        parts.append(Part(object=CLINIC, verdict=Verdict.UNKNOWN, reason="no counter of clinic staff was scraped"))
    parts += [*_gaps(evidence), *_voids(evidence)]
    differences = [part.measured for part in parts if part.measured is not None]
    good = f"no error counter moved; {len(differences)} exported longest gaps agree with the samples"
    if evidence.kind == UNPLANNED:
        good = f"all errors were counted; {len(differences)} exported longest gaps agree with the samples"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=title(evidence),
        verdict=summary.verdict,
        measured=max(differences, default=None),
        limit=evidence.limits.gap_agreement_seconds,
        unit="s, exported against sampled gap",
        detection_limit=INTERVAL_SECONDS,
        detection="one scrape interval; counters keep what happened between two scrapes",
        reason=summary.reason,
        evidence=("metrics.json: operations, longest_gap", "samples.parquet"),
        hint="Check that Prometheus ran and reached the exporters." if summary.verdict is Verdict.UNKNOWN else "",
        parts=summary.parts,
    )


def title(evidence: Evidence) -> str:
    """Where faults take machines away errors are expected: then they have to be counted, not to be none."""
    return TITLE_OF_FAULTS if evidence.kind == UNPLANNED else TITLE


def _instance(one: Series) -> str:
    return one.labels.get("instance", "an unnamed instance")


def _scrapes(evidence: Evidence, instance: str, operations: list[Series]) -> Part:
    """Whether an exporter was scraped all along."""
    window = evidence.window.span
    times = sorted({int(time) for one in operations if _instance(one) == instance for time in one.within(window).times})
    expected = max(1, int(window.seconds / INTERVAL_SECONDS))
    missing = max(0, expected - len(times))
    found = holes(times, window, 1.5 * INTERVAL_SECONDS)
    facts: Facts = {"scrapes": len(times), "missing": missing, "holes": _listed(evidence, found)}
    name = f"scrapes of {instance}"
    if not times:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="not scraped once in the window", facts=facts)
    edges = [hole for hole in found if hole.end == window.end or hole.begin == window.begin]
    silent = [hole for hole in edges if hole.seconds > EDGE_SECONDS]
    if silent:
        reason = f"Prometheus has nothing for {silent[-1].seconds:.1f} s from {evidence.at(silent[-1].begin)} on"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, at=evidence.at(silent[-1].begin), facts=facts)
    if missing > MISSING_SHARE * expected:
        reason = f"{missing} of {expected} scrapes are missing"
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=reason, facts=facts)
    return Part(object=name, verdict=Verdict.PASS, reason=f"{missing} of {expected} scrapes missing", facts=facts)


def _listed(evidence: Evidence, found: list[Span]) -> str:
    told = [f"{hole.seconds:.1f} s at {evidence.at(hole.begin)}" for hole in found[:5]]
    return ", ".join(told) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def _counters(evidence: Evidence, operations: list[Series]) -> list[Part]:
    """One part per stream: did its error counters move, did its counter of successes?"""
    by_stream: dict[str, list[Series]] = {}
    for one in operations:
        by_stream.setdefault(one.labels.get("stream", ""), []).append(one)
    absent = [stream for stream in _all_timed(evidence) if stream not in by_stream]
    parts = [_counter(evidence, stream, found) for stream, found in sorted(by_stream.items())]
    return parts + [
        Part(object=f"counters of {stream}", verdict=Verdict.UNKNOWN, reason="not exported") for stream in absent
    ]


def _counter(evidence: Evidence, stream: str, found: list[Series]) -> Part:
    window, name, watched = evidence.window.span, f"counters of {stream}", (*kinds(), CONTROL)
    good = [one for one in found if _outcome(one) == "ok"]
    bad = [one for one in found if _outcome(one) != "ok"]
    if not good:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="no counter of successes")
    started = min(int(one.times[0]) for one in good if len(one))
    for one in bad if kind_of(stream) not in watched and evidence.kind != UNPLANNED else ():
        if rise := _rise(one, window, started):
            moment, count = evidence.at(rise[0]), rise[1]
            reason = f"{count:.0f} operations counted as {_outcome(one)}, first seen at {moment}"
            return Part(object=name, verdict=Verdict.FAIL, reason=reason, at=moment)
    if any((np.diff(one.within(window).values) < 0).any() for one in found):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="a counter was reset: its process restarted")
    risen = sum(float(np.ptp(one.values)) for one in (one.around(window) for one in good) if len(one))
    if risen <= 0 and stream in _all_timed(evidence):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="the counter of successes did not move")
    if trouble := _miscounted(evidence, stream, good) or _errors_miscounted(evidence, stream, bad):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason=trouble)
    told = "errors as sampled" if evidence.kind == UNPLANNED else "no error"
    reason = f"{risen:.0f} more successes" + ("" if kind_of(stream) in watched else f", {told}")
    return Part(object=name, verdict=Verdict.PASS, reason=reason)


def _all_timed(evidence: Evidence) -> list[str]:
    """The streams on a schedule: those whose every failure counts, and the stopwatch's, which judges its own."""
    watched = [stream.name for kind in kinds(evidence) for stream in expected(evidence, kind)]
    return [*timed_streams(evidence), *watched]


def _miscounted(evidence: Evidence, stream: str, good: list[Series]) -> str:
    """How the counted successes contradict the sampled ones between the first and last scrape, or empty."""
    seen = [scraped for one in good if len(scraped := one.within(evidence.window.span))]
    samples = evidence.samples.get(stream)
    if not seen or samples is None:
        return "no scrape and sample to compare"
    counted = sum(float(one.values[-1] - one.values[0]) for one in seen)
    first, last = min(int(one.times[0]) for one in seen), max(int(one.times[-1]) for one in seen)
    ended = (samples.end_ns > first) & (samples.end_ns <= last)
    sampled = int((ended & (samples.outcome == Outcome.OK)).sum())
    if abs(counted - sampled) <= max(COUNT_SLACK, COUNT_SHARE * sampled):
        return ""
    return f"{counted:.0f} successes were counted from {evidence.at(first)} to {evidence.at(last)}, {sampled} sampled"


def _errors_miscounted(evidence: Evidence, stream: str, bad: list[Series]) -> str:
    """How the counted errors of a run with faults contradict the sampled ones, or empty."""
    samples = evidence.samples.get(stream)
    if evidence.kind != UNPLANNED or samples is None or kind_of(stream) in (*kinds(), CONTROL):
        return ""
    window = evidence.window.span
    seen = [scraped for one in bad if len(scraped := one.around(window))]
    counted = sum(float(one.values[-1] - (0 if one.times[0] >= window.begin else one.values[0])) for one in seen)
    last = max((int(one.times[-1]) for one in seen), default=window.end)
    ended = (samples.end_ns > window.begin) & (samples.end_ns <= last)
    sampled = int((ended & (samples.outcome != Outcome.OK)).sum())
    if abs(counted - sampled) <= max(COUNT_SLACK, COUNT_SHARE * sampled):
        return ""
    return f"{counted:.0f} errors were counted until {evidence.at(last)}, {sampled} sampled"


def _outcome(one: Series) -> str:
    return one.labels.get("outcome", "").lower()


def _rise(one: Series, window: Span, started: int) -> tuple[int, float] | None:
    """When an error counter first rose in the window, and by how much in all.

    A counter that appears later than its stream's counter of successes was zero until then.
    """
    seen = one.around(window)
    if not len(seen):
        return None
    appeared = seen.times[0] == one.times[0] and seen.times[0] > started and seen.times[0] >= window.begin
    values = np.concatenate(([0.0 if appeared else seen.values[0]], seen.values))
    steps = np.diff(values)
    rising = np.flatnonzero(steps > 0)
    return (int(seen.times[rising[0]]), float(steps[rising].sum())) if len(rising) else None


def _gaps(evidence: Evidence) -> list[Part]:
    exported = {one.labels.get("stream", ""): one for one in series(evidence, "longest_gap")}
    samples = evidence.samples
    streams = [stream for stream in _all_timed(evidence) if Stream.of(stream).vantage == OUTSIDE]
    return [_gap(evidence, stream, exported.get(stream), samples.get(stream)) for stream in streams]


def _voids(evidence: Evidence) -> list[Part]:
    """Whether the void time that each vantage point exported is the one in its samples."""
    exported = {Stream.of(one.labels.get("stream", "")).vantage: one for one in series(evidence, "void")}
    vantages = {stream.vantage for kind in kinds(evidence) for stream in expected(evidence, kind)}
    return [_void(evidence, vantage, exported.get(vantage)) for vantage in sorted(vantages)]


def _void(evidence: Evidence, vantage: str, exported: Series | None) -> Part:
    name = f"void time at {vantage}"
    seen = exported.within(evidence.window.span) if exported else None
    samples = evidence.samples.get(Stream(AWAY, CLIENT, vantage).name)
    if seen is None or len(seen) < 2 or samples is None:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="not exported in the window")
    counted = float(seen.values[-1] - seen.values[0])
    ended = (samples.end_ns > seen.times[0]) & (samples.end_ns <= seen.times[-1])
    sampled = float((samples.end_ns - samples.start_ns)[ended].sum()) / 1e9
    agrees = abs(counted - sampled) <= max(evidence.limits.gap_agreement_seconds, COUNT_SHARE * sampled)
    return Part(
        object=name,
        verdict=Verdict.PASS if agrees else Verdict.UNKNOWN,
        reason=f"exported {counted:.3f} s, sampled {sampled:.3f} s",
        facts={"exported_s": counted, "sampled_s": sampled},
    )


def _gap(evidence: Evidence, stream: str, exported: Series | None, samples: Samples | None) -> Part:
    """Compare at the last scrape of the window; both count from the first success of the process."""
    name = f"longest gap of {stream}"
    scraped = exported.within(evidence.window.span) if exported else None
    if scraped is None or not len(scraped):
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="not exported in the window")
    answers = samples.end_ns[samples.outcome == Outcome.OK] if samples is not None else np.zeros(0, np.int64)
    time, value = int(scraped.times[-1]), float(scraped.values[-1])
    if samples is None or not len(answers) or int(answers.min()) > time:
        return Part(object=name, verdict=Verdict.UNKNOWN, reason="no successful sample to compare with")
    low, high = _sampled(samples, int(answers.min()), time)
    difference = max(0.0, low - value, value - high)
    moment = evidence.at(time)
    agrees = difference <= evidence.limits.gap_agreement_seconds
    return Part(
        object=name,
        verdict=Verdict.PASS if agrees else Verdict.UNKNOWN if evidence.kind == UNPLANNED else Verdict.FAIL,
        measured=difference,
        at=moment,
        reason=f"exported {value:.3f} s at {moment}, sampled {_between(low, high)} s",
        facts={"exported_s": value, "sampled_s": high},
    )


def _sampled(samples: Samples, first: int, scraped: int) -> tuple[float, float]:
    """The longest gap as it stood shortly before and shortly after a scrape."""
    last = max(scraped, int(samples.end_ns.max()))
    around = Span(scraped, scraped).widened(SCRAPE_SECONDS)
    before, after = (longest(samples, Span(first, min(end, last))) for end in (around.begin, around.end))
    return min(before, after), max(before, after)


def _between(low: float, high: float) -> str:
    return f"{high:.3f}" if high - low < 0.001 else f"{low:.3f} to {high:.3f}"
