"""Voids: times in which the stopwatch itself could not look, so that nothing seen there accuses anyone.

A probe sent in a void is neutral: neither its loss nor its lateness counts. An answer that was read right after a void
may have arrived at any moment of it, so it counts from the void's begin on. A void never makes an interval narrower.

A robbery is weaker: the host has taken so much time of the processors somewhere in a span. It delays what is sent and
what arrives by that much at most, but it loses nothing, so that an answer which stays away still accuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BACKLOG_NS = 500_000
"""How long the stopwatch may be busy reading what came while it was away, at least."""
BACKLOG_SHARE = 20
"""And a twentieth of the time it was away: three streams at 1 kHz take about 1 % to read."""


@dataclass(frozen=True, eq=False)
class Robberies:
    """Disjoint spans in order in each of which the host took some time; columns of (monotonic) nanoseconds."""

    begin: Times
    end: Times
    taken: Times

    @classmethod
    def of(cls, told: Iterable[tuple[int, int, int]]) -> Robberies:
        """From begin, end and the time taken of each, which of several processors may be more than the span."""
        rows = np.array(sorted(told), np.int64).reshape(-1, 3)
        return cls(rows[:, 0], rows[:, 1], np.minimum(rows[:, 2], rows[:, 1] - rows[:, 0]))

    def delay(self, times: Times) -> Times:
        """By how much what happened may have been noted too late, for each of the instants noted."""
        if not len(self.begin):
            return np.zeros(len(times), np.int64)
        where = np.maximum(np.searchsorted(self.begin, times, side="right") - 1, 0)
        inside = (times >= self.begin[where]) & (times <= self.end[where])
        return np.where(inside, np.minimum(self.taken[where], times - self.begin[where]), 0)


@dataclass(frozen=True, eq=False)
class Voids:
    """Disjoint voids in order, as columns of monotonic nanoseconds, and the robberies beside them."""

    begin: Times
    end: Times
    robberies: Robberies = field(default_factory=lambda: Robberies.of(()))

    @classmethod
    def of(cls, begin: Times, end: Times) -> Voids:
        """The union of spans that may overlap and come in any order; spans without length are no voids."""
        some = end > begin
        order = np.argsort(begin[some], kind="stable")
        begin, reach = begin[some][order], np.maximum.accumulate(end[some][order])
        if not len(begin):
            return cls(begin.astype(np.int64), reach.astype(np.int64))
        first = np.concatenate(([True], begin[1:] > reach[:-1]))
        last = np.concatenate((first[1:], [True]))
        return cls(begin[first].astype(np.int64), reach[last].astype(np.int64))

    @classmethod
    def none(cls) -> Voids:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))

    @classmethod
    def union(cls, voids: Iterable[Voids]) -> Voids:
        """All of them together, without robberies."""
        every = list(voids)
        return cls.of(
            np.concatenate([np.zeros(0, np.int64), *(one.begin for one in every)]),
            np.concatenate([np.zeros(0, np.int64), *(one.end for one in every)]),
        )

    def __len__(self) -> int:
        return len(self.begin)

    def beside(self, robberies: Robberies) -> Voids:
        """The same voids on a host that was robbed meanwhile."""
        return replace(self, robberies=robberies)

    def covers(self, times: Times) -> Mask:
        """Which of the instants lie in a void, its borders included."""
        return self._last_void(times, self.end) >= 0

    def earliest(self, arrivals: Times) -> Times:
        """When each answer may have arrived at the earliest, given that it was read at `arrivals`."""
        where = self._last_void(arrivals, self.end + BACKLOG_NS + (self.end - self.begin) // BACKLOG_SHARE)
        early = arrivals - self.robberies.delay(arrivals)
        behind = np.flatnonzero(where >= 0)
        early[behind] = np.minimum(early[behind], self.begin[where[behind]])
        return early

    def _last_void(self, times: Times, reach: Times) -> npt.NDArray[np.int32]:
        """The number of the void before each instant, or -1 where it reaches less far.

        Voids are few beside the instants of a long stream, so these are searched for the voids where they are in order.
        """
        found = np.full(len(times), -1, np.int32)
        if not len(self) or not len(times):
            return found
        if (times[1:] < times[:-1]).any():
            where = np.searchsorted(self.begin, times, side="right") - 1
            return np.where((where >= 0) & (times <= reach[where]), where, -1).astype(np.int32)
        first = np.searchsorted(times, self.begin, side="left")
        last = np.minimum(np.searchsorted(times, reach, side="right"), np.append(first[1:], len(times)))
        for number in np.flatnonzero(last > first):
            found[first[number] : last[number]] = number
        return found

    def doubtful(self, begin: int, end: int) -> int:
        """How many nanoseconds of a span are void or robbed."""
        every = Voids.union([Voids(self.begin, self.end), Voids(self.robberies.begin, self.robberies.end)])
        return every.within(begin, end)

    def within(self, begin: int, end: int) -> int:
        """How many nanoseconds of a span are void."""
        begins, ends = np.maximum(self.begin, begin), np.minimum(self.end, end)
        return int(np.maximum(ends - begins, 0).sum())
