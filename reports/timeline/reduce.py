"""A stream of any length as what can be drawn of it: the worst of each bucket, the rate, every gap, what failed.

Nothing is averaged away: a latency is the worst of its bucket, and a gap is kept with its own begin and end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drainproof.record import Outcome, SampleFile
from reports.spans import Span
from reports.timeline.model import Floats, Times

KEPT_GAPS = 1000
"""So many gaps of a stream are drawn, the longest of them."""
LEAST_PERIODS = 2.0
"""A gap that is not longer than so many periods is no gap."""
CHUNK_ROWS = 1 << 20
COLUMNS = ("start_ns", "end_ns", "outcome", "intended_ns")

Chunk = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Grid:
    """Equally long buckets of a window."""

    window: Span
    count: int

    @property
    def width(self) -> float:
        return (self.window.end - self.window.begin) / self.count

    def of(self, times: Times) -> npt.NDArray[np.int64]:
        """In which bucket each instant lies; the window's end belongs to the last."""
        return np.minimum(((times - self.window.begin) / self.width).astype(np.int64), self.count - 1)


@dataclass(frozen=True)
class Reduced:
    """What is drawn of a stream; times in monotonic nanoseconds."""

    worst: Floats
    """Seconds from when an operation was due to its answer, the worst of those sent in each bucket; NaN: none."""
    answered: npt.NDArray[np.int64]
    """How many answers came in each bucket of the rate."""
    gap_begins: Times
    gap_ends: Times
    normal: float
    left_out: int
    failed: Times
    """The first failure of each bucket."""
    failures: tuple[str, ...]


def reduced(
    samples: SampleFile, stream: str, latency: Grid, rate: Grid, baseline: Span, period: float, *, late_counts: bool,
    limit: float = math.inf,
) -> Reduced:
    """Read a stream once, piece by piece.

    `period`: seconds between operations; `late_counts`: whether late answers are answers; `limit`: a gap of more
    seconds is kept even if the baseline had one as long.
    Raises RecordError when its rows cannot be true.
    """
    window = latency.window
    worst, answered = np.full(latency.count, np.nan), np.zeros(rate.count, np.int64)
    least = max(LEAST_PERIODS * period, 1e-9)
    silences, failures = _Silences(window, min(least, limit)), _Failed(latency)
    for chunk in samples.chunks(stream, COLUMNS, CHUNK_ROWS):
        start, end, outcome = chunk["start_ns"], chunk["end_ns"], chunk["outcome"]
        good = outcome == Outcome.OK
        if late_counts:
            good = good | (outcome == Outcome.LATE)
        inside = (end >= window.begin) & (end <= window.end)
        answers = end[good & inside]
        answered += np.bincount(rate.of(answers), minlength=rate.count)
        silences.take(answers, int(start[-1]) if len(start) else window.begin)
        sent = (start >= window.begin) & (start <= window.end)
        shown = good & sent
        _raise(worst, latency.of(start[shown]), (end[shown] - chunk["intended_ns"][shown]) / 1e9)
        failures.take(start[sent & ~good], outcome[sent & ~good])
    begins, ends = silences.finish()
    normal = usual(begins, ends, baseline, least)
    kept, left_out = chosen(begins, ends, min(normal, limit))
    times, told = failures.finish()
    return Reduced(worst, answered, begins[kept], ends[kept], normal, left_out, times, told)


def usual(begins: Times, ends: Times, baseline: Span, least: float) -> float:
    """The longest gap of the undisturbed baseline, or the least that is a gap at all, seconds."""
    quiet = (ends - begins)[(begins >= baseline.begin) & (ends <= baseline.end)]
    return max(least, float(quiet.max(initial=0)) / 1e9)


def chosen(begins: Times, ends: Times, above: float) -> tuple[npt.NDArray[np.int64], int]:
    """Which gaps are longer than so many seconds, and how many of these, the shortest, are not kept."""
    lengths = ends - begins
    found = np.flatnonzero(lengths > above * 1e9)
    kept = np.sort(found[np.argsort(-lengths[found], kind="stable")[:KEPT_GAPS]])
    return kept, len(found) - len(kept)


def _raise(worst: Floats, buckets: npt.NDArray[np.int64], seconds: Floats) -> None:
    """Raise the worst of the buckets; these are in order, as operations are by their start."""
    if len(buckets):
        firsts = np.flatnonzero(np.concatenate(([True], np.diff(buckets) > 0)))
        found = np.maximum.reduceat(seconds, firsts)
        worst[buckets[firsts]] = np.fmax(worst[buckets[firsts]], found)


class _Silences:
    """The gaps between answers, as these come in pieces."""

    def __init__(self, window: Span, least: float) -> None:
        self._least = least
        self._last, self._end = window.begin, window.end
        self._waiting = np.zeros(0, np.int64)
        self._found: list[tuple[Times, Times]] = []

    def take(self, answers: Times, sent: int) -> None:
        """Answers in any order. What comes later was sent at `sent` or afterwards, so it is answered afterwards too."""
        known = np.sort(np.concatenate((self._waiting, answers)))
        cut = int(np.searchsorted(known, sent, side="right"))
        self._waiting = known[cut:]
        self._add(known[:cut])

    def finish(self) -> tuple[Times, Times]:
        """Begins and ends of all gaps that are longer than the least, by time."""
        self._add(np.concatenate((self._waiting, [self._end])))
        begins, ends = (np.concatenate([np.zeros(0, np.int64), *found]) for found in zip(*self._found, strict=True))
        return begins, ends

    def _add(self, edges: Times) -> None:
        if not len(edges):
            return
        before = np.concatenate(([self._last], edges[:-1]))
        long = edges - before > self._least * 1e9
        self._found.append((before[long], edges[long]))
        self._last = int(edges[-1])


class _Failed:
    """The failures of each bucket: the first moment, how many, and how they ended."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._first: dict[int, int] = {}
        self._counts: dict[int, dict[int, int]] = {}

    def take(self, starts: Times, outcomes: npt.NDArray[np.int8]) -> None:
        if not len(starts):
            return
        buckets = self._grid.of(starts)
        pairs, firsts, counts = np.unique(
            buckets * 256 + outcomes.astype(np.int64), return_index=True, return_counts=True
        )
        for pair, first, count in zip(pairs.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            bucket, outcome = divmod(pair, 256)
            self._first[bucket] = min(self._first.get(bucket, int(starts[first])), int(starts[first]))
            of_bucket = self._counts.setdefault(bucket, {})
            of_bucket[outcome] = of_bucket.get(outcome, 0) + count

    def finish(self) -> tuple[Times, tuple[str, ...]]:
        buckets = sorted(self._first)
        return np.array([self._first[bucket] for bucket in buckets], np.int64), tuple(self._told(buckets))

    def _told(self, buckets: list[int]) -> Iterator[str]:
        for bucket in buckets:
            counts = self._counts[bucket]
            yield ", ".join(f"{count} {Outcome(outcome).name.lower()}" for outcome, count in sorted(counts.items()))
