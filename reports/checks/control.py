"""The instrument's own claim: known blackouts of the control stream, which never leaves the client, were all found."""

from __future__ import annotations

from drainproof.streams import AWAY, CLIENT, CONTROL, Stream
from reports.checks.outages import kinds, stopwatch
from reports.completeness import complete
from reports.evidence import Evidence
from reports.outages.outage import Outage
from reports.outages.reading import AROUND_SECONDS, SOURCE, Blackout, Reading
from reports.spans import Span
from reports.verdict import Claim, MissingEvidenceError, Part, Verdict, sum_up

ID = "instrument.control"
TITLE = "The stopwatch found every known blackout of its control stream, with the right length"
ENOUGH = 0.25
"""A smaller share of the known blackouts proves too little about the rest of the time."""
ABSENT_SHARE = 0.5
"""So much of a period the stopwatch may have been away around a known blackout, whose error is judged by the period."""
LATE_NS = 200_000
"""A responder that was later than this at a border does not know the blackout's length well enough."""


def check(evidence: Evidence) -> Claim:
    """Judge the control stream of each vantage point against what its responder did."""
    vantages = _vantages(evidence)
    parts = [_part(evidence, vantage) for vantage in vantages]
    parts.append(complete(evidence, SOURCE, (*kinds(), CONTROL, AWAY)))
    errors = [part.measured for part in parts if part.measured is not None]
    good = f"all found, the worst by {max(errors, default=0):.2f} periods"
    summary = sum_up(parts, lambda _: good, evidence.window.incomplete)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=max(errors, default=None),
        limit=1,
        unit="periods, worst error of a length",
        detection_limit=2,
        detection="two periods",
        reason=summary.reason,
        evidence=("events.jsonl: stopwatch/control-blackout", "samples.parquet: control"),
        hint="" if summary.verdict is Verdict.PASS else "Nothing that the stopwatch says of this run can be trusted.",
        parts=summary.parts,
    )


def _vantages(evidence: Evidence) -> list[str]:
    started = [event.data.get("streams") or () for event in evidence.of_kind(SOURCE, "start")]
    told = {Stream.of(str(name)) for names in started for name in names}
    found = sorted(stream.vantage for stream in told if stream.kind == CONTROL)
    if not found:
        raise MissingEvidenceError("events.jsonl has no start of a stopwatch with a control stream")
    return found


def _part(evidence: Evidence, vantage: str) -> Part:
    stream = Stream(CONTROL, CLIENT, vantage)
    watch, window = stopwatch(evidence), evidence.window.span
    try:
        reading = watch.read(stream, window)
        absences = watch.absences(vantage).beside(watch.robberies())
    except MissingEvidenceError as error:
        return Part(object=stream.name, verdict=Verdict.UNKNOWN, reason=str(error))
    inside = [one for one in watch.blackouts(vantage) if one.span.begin in window and one.span.end in window]
    allowed = watch.period_ns(stream) * ABSENT_SHARE
    clear = [one for one in inside if one.late_ns <= LATE_NS and absences.doubtful(*_around(one.span)) <= allowed]
    return _judged(evidence, reading, inside, clear)


def _judged(evidence: Evidence, reading: Reading, inside: list[Blackout], clear: list[Blackout]) -> Part:
    period_ms = 1000 / evidence.load.stopwatch_rate(reading.stream)
    errors = {one.span.begin: _error(one, reading.finding.outages) for one in clear}
    missed = [begin for begin, error in errors.items() if error is None]
    worst = max((error for error in errors.values() if error is not None), default=None)
    trouble = _too_few(evidence, inside, clear) or _wrong(evidence, len(clear), missed, worst or 0.0, period_ms)
    good = f"{len(clear)} of {len(inside)} known blackouts judged, all found, the worst by {worst or 0.0:.2f} ms"
    return Part(
        object=reading.stream.name,
        verdict=Verdict.UNKNOWN if trouble else Verdict.PASS,
        reason=trouble or good,
        measured=None if worst is None else worst / period_ms,
        facts={
            "injected": len(inside), "judged": len(clear), "missed": len(missed), "probes": reading.finding.probes,
            "period_ms": period_ms,
        },
    )


def _too_few(evidence: Evidence, inside: list[Blackout], clear: list[Blackout]) -> str:
    planned = _planned(evidence)
    if len(inside) < planned:
        return f"only {len(inside)} known blackouts were told of, at least {planned} were planned"
    if not clear or len(clear) < ENOUGH * len(inside):
        told = f"of {len(inside)} known blackouts {len(clear) or 'none'} fell into a time"
        return f"{told} in which the stopwatch was not away"
    return ""


def _wrong(evidence: Evidence, judged: int, missed: list[int], worst_ms: float, period_ms: float) -> str:
    if missed:
        return f"{len(missed)} of {judged} known blackouts were not found, the first at {evidence.at(missed[0])}"
    if worst_ms > period_ms:
        return f"a known blackout was measured wrong by {worst_ms:.2f} ms, more than one period of {period_ms:g} ms"
    return ""


def _planned(evidence: Evidence) -> int:
    """How many blackouts fell into the window at least: one in each slot, at most a quarter of it early or late."""
    every = evidence.load.control_every_seconds
    seconds = evidence.window.span.seconds - max(1.0, evidence.load.control_blackout_ms / 1000)
    return int(max(0.0, seconds - every / 2) / every)


def _error(known: Blackout, outages: tuple[Outage, ...]) -> float | None:
    """By how much the length of a known blackout was missed, in ms; None when nothing was found there."""
    begin, end = _around(known.span)
    length = known.span.end - known.span.begin
    errors = [abs(one.mid_ns - length) for one in outages if one.begin_lo <= end and begin <= one.end_hi]
    return min(errors) / 1e6 if errors else None


def _around(span: Span) -> tuple[int, int]:
    wide = span.widened(AROUND_SECONDS)
    return wide.begin, wide.end
