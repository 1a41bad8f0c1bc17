"""Downtime of each client stream: its longest time without an answer, and all that exceeds its own normal.

What an observer missed by its own stall is taken off, as the claims do; a stream whose observer looked away for longer
than its limit was silent for at least the time that is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from drainproof.gaps import gap_edges
from drainproof.record import Samples
from reports.evidence import Evidence
from reports.figures.disturbed import asked_streams, cut_short, disturbed
from reports.spans import Span, covered_seconds
from reports.streams import period, stalls
from reports.verdict import Figure

LONGEST, TOTAL = "downtime", "total unavailability"
UNIT = "s"


@dataclass(frozen=True, slots=True)
class _Silences:
    """What one stream was silent for, in seconds."""

    longest: float
    total: float | None
    """None: without two answers before the first disturbance, nobody can say what is normal."""
    doubt: str
    """Why it may have been silent for longer, or empty."""


def figures(evidence: Evidence) -> Iterator[Figure]:
    """The longest gap of each stream from the first drain or fault on, and the sum of what exceeds the baseline's."""
    span = disturbed(evidence)
    for stream in asked_streams(evidence):
        samples = evidence.samples.get(stream)
        if samples is None or not len(samples):
            reason = "the record has no sample of this stream"
            yield from (Figure(axis=axis, object=stream, value=None, unit=UNIT, reason=reason)
                        for axis in (LONGEST, TOTAL))
            continue
        silences = _silences(evidence, samples, span)
        for axis, value in ((LONGEST, silences.longest), (TOTAL, silences.total)):
            reason = silences.doubt if value is not None else "no two answers in the baseline: its normal is not known"
            yield Figure(
                axis=axis, object=stream, value=value, unit=UNIT, reason=reason,
                resolution=period(evidence, stream), at_least=value is not None and bool(silences.doubt),
            )


def _silences(evidence: Evidence, samples: Samples, span: Span) -> _Silences:
    """The stream's gaps that are longer than any of its baseline; without one, the longest that there is."""
    edges = gap_edges(samples, (span.begin, span.end))
    lengths = np.diff(edges)
    own = stalls(evidence, samples.stream)
    normal = _normal(samples, evidence.window.baseline, own)
    rows = np.flatnonzero(lengths > (normal or 0.0) * 1e9)
    found = [Span(int(edges[row]), int(edges[row + 1])) for row in (rows if len(rows) else [int(np.argmax(lengths))])]
    seconds = [gap.seconds - covered_seconds(gap, own) for gap in found]
    return _Silences(
        longest=max(0.0, *seconds),
        total=None if normal is None else sum(max(0.0, one - normal) for one in seconds),
        doubt=cut_short(evidence) or _looked_away(evidence, own, span),
    )


def _normal(samples: Samples, baseline: Span, own: list[Span]) -> float | None:
    """The longest gap between two answers of the undisturbed stream, in seconds, without what its observer missed.

    The borders of the baseline are no answers.
    """
    inner = gap_edges(samples, (baseline.begin, baseline.end))[1:-1]
    gaps = [Span(int(begin), int(end)) for begin, end in pairwise(inner)]
    return max((max(0.0, gap.seconds - covered_seconds(gap, own)) for gap in gaps), default=None)


def _looked_away(evidence: Evidence, own: list[Span], span: Span) -> str:
    longest = max((stall.within(span).seconds for stall in own), default=0.0)
    if longest <= evidence.limits.observer_stall_seconds:
        return ""
    return f"its observer stalled for {longest:.3f} s, which is taken off"
