"""What the estimator takes and gives: probes as columns, outages as intervals, and what a stream has shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reports.outages.voids import Mask, Times


@dataclass(frozen=True, eq=False)
class Probes:
    """Probes of one stream in the order of sending; monotonic nanoseconds."""

    start: Times
    end: Times
    """When the answer was read; what was not answered has no end that counts."""
    answered: Mask

    def __len__(self) -> int:
        return len(self.start)

    def part(self, first: int, last: int) -> Probes:
        """The probes from number `first` up to and without `last`."""
        return Probes(self.start[first:last], self.end[first:last], self.answered[first:last])

    def then(self, later: Probes) -> Probes:
        """These probes and those that were sent after them."""
        return Probes(
            np.concatenate((self.start, later.start)), np.concatenate((self.end, later.end)),
            np.concatenate((self.answered, later.answered)),
        )

    @classmethod
    def mark(cls, t_ns: int) -> Probes:
        """A border of the observation, which stands for a probe that was sent and answered at that instant."""
        at = np.array([t_ns], np.int64)
        return cls(at, at, np.array([True]))


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage: when it can have begun and ended; monotonic nanoseconds."""

    begin_lo: int
    begin_hi: int
    end_lo: int
    end_hi: int
    likely_ns: int
    """The likeliest length before it is kept inside the interval."""
    void_ns: int = 0
    """How much of it the stopwatch did not see; it is taken off the lower bound."""
    lost: int = 0
    held: bool = False
    """Whether what was sent was held and let go at the end, instead of lost."""
    open: bool = False
    """Whether the observation ended before the outage did."""
    frozen_ns: int | None = None
    """By how much the guest's clock fell behind the client's in it; None where the stream does not carry it."""

    @property
    def lo_ns(self) -> int:
        """It lasted at least so long."""
        return max(0, self.end_lo - self.begin_hi - self.void_ns)

    @property
    def hi_ns(self) -> int:
        """It lasted at most so long, as far as it was observed."""
        return self.end_hi - self.begin_lo

    @property
    def mid_ns(self) -> int:
        """The likeliest length."""
        return min(max(self.likely_ns, self.lo_ns), self.hi_ns)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a stream of probes has shown."""

    outages: tuple[Outage, ...]
    probes: int
    good: int
    lost: int
    late: int
    neutral: int
    """Sent while the stopwatch was away: they accuse nobody."""
    longest_gap_ns: int
    """The longest time between two answered probes without a known outage: none longer can have hidden."""
