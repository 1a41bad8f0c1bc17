"""What an observer has seen so far: finished operations, their gaps and counts, and its own stalls, all in memory.

Observing threads only append here; a background thread takes the samples to disk, so no probe waits for one. Each
stream is fed by one thread at a time, which is why its figures need no lock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from drainproof.gaps import LongestGap
from drainproof.record import Outcome
from drainproof.record.samples import NO_KEY
from load.schedule import Stall

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the exported durations, in seconds."""
FAILURES_TOLD = 50
"""Failures per stream that become events; all of them are samples."""

Row = tuple[int, int, int, int, int, int]
"""Stream, intended, start, end, outcome, key: the arguments of SampleWriter.add."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One operation that did not succeed, in words."""

    t_ns: int
    stream: str
    outcome: Outcome
    reason: str
    key: int


class StreamFigures:
    """The running figures of one stream."""

    def __init__(self, name: str, begun_ns: int) -> None:
        self.name = name
        self.gap = LongestGap(begun_ns)
        self.outcomes = [0] * len(Outcome)
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    @property
    def operations(self) -> int:
        return sum(self.outcomes)

    @property
    def failures(self) -> int:
        return self.operations - self.outcomes[Outcome.OK]

    def add(self, start_ns: int, end_ns: int, outcome: Outcome) -> None:
        """One finished operation."""
        seconds = (end_ns - start_ns) / 1e9
        self.outcomes[outcome] += 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
        if outcome == Outcome.OK:
            self.gap.success(end_ns)


class Recorder:
    """Collects what an observer sees; `rows`, `failures` and `stalls` wait there until they are taken to disk."""

    def __init__(self, streams: Sequence[str], now_ns: int) -> None:
        self.streams = [StreamFigures(name, now_ns) for name in streams]
        self.rows: deque[Row] = deque()
        self.failures: deque[Failure] = deque()
        self.stalls: deque[Stall] = deque()
        self.stall_seconds = 0.0
        self.worst_lateness_ns = 0

    def done(
        self, stream: int, intended_ns: int, start_ns: int, end_ns: int, outcome: Outcome, *, key: int = NO_KEY,
        reason: str = "",
    ) -> None:
        """One operation has ended; `stream` is its number in the order given, times are monotonic nanoseconds."""
        figures = self.streams[stream]
        figures.add(start_ns, end_ns, outcome)
        self.rows.append((stream, intended_ns, start_ns, end_ns, outcome, key))
        if outcome != Outcome.OK and figures.failures <= FAILURES_TOLD:
            self.failures.append(Failure(end_ns, figures.name, outcome, reason, key))

    def lateness(self, worst_ns: int, stall: Stall | None) -> None:
        """How late the observer itself has been at worst, and the stall that has just ended, if any."""
        self.worst_lateness_ns = max(self.worst_lateness_ns, worst_ns)
        if stall is not None:
            self.stall_seconds += (stall.end_ns - stall.start_ns) / 1e9
            self.stalls.append(stall)

    @property
    def operations(self) -> int:
        return sum(figures.operations for figures in self.streams)
