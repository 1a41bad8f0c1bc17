"""Claim 3: no request of any stream failed, and no stream was silent for longer than its limit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from drainproof.record import Outcome, Samples
from reports.completeness import complete
from reports.evidence import Evidence
from reports.spans import Span
from reports.streams import (
    CLINIC,
    OBSERVERS,
    SQL,
    blind_seconds,
    gap_limit,
    judged_gaps,
    kind_of,
    period,
    reported_stalls,
    stalls,
    started_in,
    timed_streams,
)
from reports.verdict import Claim, Facts, Part, Verdict, sum_up, worst

ID = "continuity.requests"
TITLE = "No request of any stream failed, and the longest gap of each stream stayed within its limit"
ENOUGH = 0.5
"""A stream with a smaller share of its nominal operations proves too little."""
CLINIC_PAUSE_SECONDS = 15.0
"""Clinic staff who do nothing for longer were not at work: longer than their timeout and think time together."""


def check(evidence: Evidence) -> Claim:
    """Judge each stream by itself; the claim's measured value is the worst longest gap."""
    samples = evidence.samples
    clinic = sorted(stream for stream in samples if kind_of(stream) == CLINIC)
    parts = [_timed(evidence, samples.get(stream), stream) for stream in timed_streams(evidence)]
    parts += [_clinic(evidence, samples[stream]) for stream in clinic]
    parts += [complete(evidence, observer, _kinds(observer)) for observer in sorted(set(OBSERVERS.values()))]
    parts.append(_clinic_at_work(evidence, [samples[stream] for stream in clinic]))
    summary = sum_up(parts, lambda parts: _good(evidence, parts), evidence.window.incomplete or _damage(evidence))
    timed = [part for part in parts if part.measured is not None]
    worst_part = max(timed, key=lambda part: (part.measured or 0) / _limit(part), default=None)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=worst_part.measured if worst_part else None,
        limit=_limit(worst_part) if worst_part else None,
        unit="s, longest gap",
        detection_limit=max((_fact(part, "detection_limit_s") for part in timed), default=None),
        detection="the longest time between two looks of an observer that were on time, over all streams",
        reason=summary.reason,
        evidence=("samples.parquet", "events.jsonl: run/phase, */stall, */failure, */stop, observer/ended"),
        hint=_hint(summary.verdict),
        parts=summary.parts,
    )


def _kinds(observer: str) -> list[str]:
    return [kind for kind, whose in OBSERVERS.items() if whose == observer]


def _hint(verdict: Verdict) -> str:
    return {
        Verdict.PASS: "",
        Verdict.FAIL: "Compare the moment with the migrations and the hypervisor's downtime.",
        Verdict.UNKNOWN: "Give the observers more processor time, or repeat the run.",
    }[verdict]


def _good(evidence: Evidence, parts: tuple[Part, ...]) -> str:
    operations = sum(int(_fact(part, "samples")) for part in parts)
    streams = sum("samples" in part.facts for part in parts)
    return f"none of {operations} operations on {streams} streams failed in {evidence.window.span.seconds:.1f} s"


def _timed(evidence: Evidence, samples: Samples | None, stream: str) -> Part:
    window = evidence.window.span
    if samples is None or not len(sent := started_in(samples, window)):
        return Part(object=stream, verdict=Verdict.UNKNOWN, reason="the record has no sample of this stream")
    every, limit = period(evidence, stream), gap_limit(evidence, stream)
    own_stalls = stalls(evidence, stream)
    found = judged_gaps(samples, window, own_stalls, limit)
    accused = max(found, key=lambda gap: gap.accusable)
    verdict, reason = _failures(evidence, sent, own_stalls)
    worst_gap = accused if accused.accusable > limit else found[0]
    judged = [(verdict, reason)] if verdict is not Verdict.PASS else []
    if accused.accusable > limit:
        judged.append((Verdict.FAIL, f"silent for {accused.seconds:.3f} s from {evidence.at(accused.span.begin)} on"))
    elif found[0].seconds > limit:
        silent = f"silent for {found[0].seconds:.3f} s from {evidence.at(found[0].span.begin)} on"
        judged.append((Verdict.UNKNOWN, f"{silent}, but its observer stalled for {found[0].stalled:.3f} s of it"))
    judged += [(Verdict.UNKNOWN, trouble) for trouble in _weaknesses(evidence, sent, own_stalls)]
    decided = worst(verdict for verdict, _ in judged) if judged else Verdict.PASS
    reasons = "; ".join(reason for verdict, reason in judged if verdict is decided)
    return Part(
        object=stream,
        verdict=decided,
        measured=worst_gap.seconds,
        reason=reasons or f"{len(sent)} operations, none failed",
        at=evidence.at(worst_gap.span.begin),
        facts={
            "limit_s": limit,
            "detection_limit_s": blind_seconds(samples, every, window),
            "period_s": every,
            "stalled_s": sum(stall.seconds for stall in own_stalls),
            **_figures(sent),
            "hidden_at_most_s": window.seconds * min(1.0, 3 / len(sent)),
        },
    )


def _failures(evidence: Evidence, sent: Samples, own_stalls: list[Span]) -> tuple[Verdict, str]:
    """Failed operations: they accuse unless the observer stalled while they lasted."""
    failed = np.flatnonzero(sent.outcome != Outcome.OK)
    if not len(failed):
        return Verdict.PASS, ""
    spans = [Span(int(sent.start_ns[row]), int(sent.end_ns[row])) for row in failed]
    excused = [any(span.overlaps(stall) for stall in own_stalls) for span in spans]
    accusing = [int(row) for row, stalled in zip(failed, excused, strict=True) if not stalled]
    first = accusing[0] if accusing else int(failed[0])
    outcome = Outcome(int(sent.outcome[first])).name
    moment = evidence.at(int(sent.start_ns[first]))
    why = _told(evidence, sent.stream, Span(int(sent.start_ns[first]), int(sent.end_ns[first])))
    if accusing:
        return Verdict.FAIL, f"{len(accusing)} of {len(sent)} operations failed, first at {moment}: {outcome}{why}"
    excuse = f"{len(failed)} operations failed while their observer stalled"
    return Verdict.UNKNOWN, f"{excuse}, first at {moment}: {outcome}{why}"


def _told(evidence: Evidence, stream: str, span: Span) -> str:
    """What the observer said about a failed operation, if it did."""
    for event in evidence.of_kind(OBSERVERS[kind_of(stream)], "failure", stream):
        if event.t_ns in span.widened(0.05) and event.data.get("reason"):
            return f" ({event.data['reason']})"
    return ""


def _weaknesses(evidence: Evidence, sent: Samples, own_stalls: list[Span]) -> list[str]:
    """Why a stream without fault would still prove too little."""
    window, baseline = evidence.window.span, evidence.window.baseline
    found = []
    allowed = evidence.limits.observer_stall_seconds
    longest = max(own_stalls, key=lambda stall: stall.seconds, default=None)
    if longest and longest.seconds > allowed:
        stalled = f"its observer stalled for {longest.seconds:.3f} s at {evidence.at(longest.begin)}"
        found.append(f"{stalled}; more than {allowed:g} s proves nothing")
    share = len(sent) / max(1.0, _nominal(evidence, sent, window))
    if share < ENOUGH:
        found.append(f"only {len(sent)} operations, {share:.0%} of what its rate promises")
    steady = started_in(sent, baseline)
    if not (steady.outcome == Outcome.OK).any():
        found.append("no success in the baseline: it was never seen steady")
    return found


def _nominal(evidence: Evidence, sent: Samples, window: Span) -> float:
    """How many operations the rate promises; a writer that waits for a slow answer owes none meanwhile."""
    every = period(evidence, sent.stream)
    seconds = window.seconds
    if kind_of(sent.stream) == SQL:
        waited = (sent.end_ns - sent.start_ns) / 1e9 - every
        seconds -= float(waited[waited > 0].sum())
    return seconds / every


def _clinic(evidence: Evidence, samples: Samples) -> Part:
    """Clinic staff think between requests: their failures count, their pauses do not."""
    sent = started_in(samples, evidence.window.span)
    ended = _without(sent, sent.outcome == Outcome.INDETERMINATE)  # they were under way when the clinic was stopped
    own_stalls = reported_stalls(evidence, OBSERVERS[CLINIC])
    verdict, reason = _failures(evidence, ended, own_stalls)
    figures: Facts = _figures(ended) if len(ended) else {"samples": 0, "failed": 0}
    return Part(
        object=samples.stream,
        verdict=verdict,
        reason=reason or f"{len(ended)} operations, none failed",
        facts={**figures, "left_open": len(sent) - len(ended)},
    )


def _without(samples: Samples, rows: npt.NDArray[np.bool_]) -> Samples:
    columns = ("intended_ns", "start_ns", "end_ns", "outcome", "key")
    return Samples(samples.stream, **{column: getattr(samples, column)[~rows] for column in columns})


def _clinic_at_work(evidence: Evidence, streams: list[Samples]) -> Part:
    """Whether the clinic staff were at work throughout, all their requests together."""
    window = evidence.window.span
    starts = np.sort(np.concatenate([np.zeros(0, np.int64), *(started_in(one, window).start_ns for one in streams)]))
    ends = np.concatenate(([window.begin], starts, [window.end]))
    pause = float(np.diff(ends).max()) / 1e9
    moment = evidence.at(int(ends[int(np.diff(ends).argmax())]))
    if not len(starts):
        return Part(object=CLINIC, verdict=Verdict.UNKNOWN, reason="the record has no request of clinic staff")
    if pause > CLINIC_PAUSE_SECONDS:
        reason = f"clinic staff sent nothing for {pause:.1f} s from {moment} on"
        return Part(object=CLINIC, verdict=Verdict.UNKNOWN, reason=reason, at=moment)
    return Part(object=CLINIC, verdict=Verdict.PASS, reason=f"at work throughout; longest pause {pause:.1f} s")


def _figures(sent: Samples) -> dict[str, float]:
    """Latency from the moment an operation was due, so that waiting for a late observer or service is not forgotten."""
    good = sent.outcome == Outcome.OK
    milliseconds = (sent.end_ns - sent.intended_ns)[good] / 1e6
    quantiles = np.percentile(milliseconds, [50, 99]) if len(milliseconds) else (0.0, 0.0)
    return {
        "samples": len(sent),
        "failed": int((~good).sum()),
        "p50_ms": float(quantiles[0]),
        "p99_ms": float(quantiles[1]),
        "max_ms": float(milliseconds.max()) if len(milliseconds) else 0.0,
    }


def _damage(evidence: Evidence) -> str:
    damaged = evidence.of_kind("record", "damaged-shard")
    return f"samples are missing: {damaged[0].data.get('reason')}" if damaged else ""


def _fact(part: Part, name: str) -> float:
    return _number(part.facts, name)


def _limit(part: Part) -> float:
    return _number(part.facts, "limit_s")


def _number(facts: Facts, name: str) -> float:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
