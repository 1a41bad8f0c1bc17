"""Outages as the stopwatch measured them, on each of its streams from where the clients are."""

from __future__ import annotations

from collections.abc import Iterator

from drainproof.streams import OUTSIDE, Stream
from reports.checks.outages import expected, kinds, stopwatch
from reports.evidence import STORAGE, Evidence
from reports.figures.disturbed import cut_short, disturbed
from reports.outages.outage import Outage
from reports.outages.reading import Reading
from reports.verdict import Figure, MissingEvidenceError

LONGEST, TOTAL = "outage", "total outage"
UNIT = "s"


def figures(evidence: Evidence) -> Iterator[Figure]:
    """The longest outage of each stream from the first drain or fault on, and the sum of all; likeliest lengths.

    Zero means that none was as long as the resolution, which is told beside it.
    """
    if evidence.kind == STORAGE:
        return
    begin, watch = disturbed(evidence).begin, stopwatch(evidence)
    for stream in (one for kind in kinds(evidence) for one in expected(evidence, kind) if one.vantage == OUTSIDE):
        try:
            reading = watch.read(stream, evidence.window.span)
        except MissingEvidenceError as error:
            yield from _both(stream, (None, None), str(error), None, doubtful=False)
            continue
        found = [outage.mid_ns / 1e9 for outage in reading.finding.outages if outage.end_hi > begin]
        doubt = cut_short(evidence) or _doubt(evidence, reading)
        values = (max(found, default=0.0), float(sum(found)))
        yield from _both(stream, values, doubt, _resolution(reading), doubtful=bool(doubt))


def _both(
    stream: Stream, values: tuple[float | None, float | None], reason: str, resolution: float | None, *, doubtful: bool
) -> Iterator[Figure]:
    for axis, value in zip((LONGEST, TOTAL), values, strict=True):
        yield Figure(
            axis=axis, object=stream.name, value=value, unit=UNIT, reason=reason, resolution=resolution,
            at_least=doubtful,
        )


def _resolution(reading: Reading) -> float:
    """What may hide, and by how much the worst outage is uncertain, whichever is longer."""
    worst: Outage | None = reading.worst
    uncertain = (worst.hi_ns - worst.lo_ns) / 2 if worst else 0.0
    return max(float(reading.detection_ns), uncertain) / 1e9


def _doubt(evidence: Evidence, reading: Reading) -> str:
    """Why there may have been a longer outage than was found, or empty."""
    seconds = evidence.window.span.seconds
    share = reading.void_ns / 1e9 / seconds if seconds else 1.0
    if share > evidence.limits.void_share:
        return f"the stopwatch itself was away for {share:.1%} of the window"
    worst = reading.worst
    return "the worst outage had not ended when the window did" if worst is not None and worst.open else ""
