"""Spans of time in monotonic nanoseconds: overlap, union and what is left of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From begin to end, in nanoseconds."""

    begin: int
    end: int

    @property
    def seconds(self) -> float:
        return max(0, self.end - self.begin) / 1e9

    def __contains__(self, t_ns: int) -> bool:
        return self.begin <= t_ns <= self.end

    def overlaps(self, other: Span) -> bool:
        return self.begin < other.end and other.begin < self.end

    def touches(self, other: Span) -> bool:
        """Whether they share a moment at least; a span without length is one."""
        return self.begin <= other.end and other.begin <= self.end

    def widened(self, seconds: float) -> Span:
        """The span with that much more time on both sides."""
        more = int(seconds * 1e9)
        return Span(self.begin - more, self.end + more)

    def within(self, other: Span) -> Span:
        """The part of this span inside the other; empty (end = begin) if there is none."""
        begin = max(self.begin, other.begin)
        return Span(begin, max(begin, min(self.end, other.end)))


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time as disjoint spans in order."""
    merged: list[Span] = []
    for span in sorted(span for span in spans if span.end > span.begin):
        if merged and span.begin <= merged[-1].end:
            merged[-1] = Span(merged[-1].begin, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged


def covered_seconds(span: Span, by: Sequence[Span]) -> float:
    """How much of the span the disjoint spans `by` cover, in seconds."""
    return sum(other.within(span).seconds for other in by)


def outside(spans: Iterable[Span], of: Sequence[Span]) -> list[Span]:
    """What of some spans lies outside the disjoint spans `of`, which are in order."""
    left = union(spans)
    for taken in of:
        before = [Span(span.begin, min(span.end, taken.begin)) for span in left]
        after = [Span(max(span.begin, taken.end), span.end) for span in left]
        left = [piece for piece in (*before, *after) if piece.end > piece.begin]
    return union(left)
