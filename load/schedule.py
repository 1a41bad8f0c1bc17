"""When operations are due, and how late their observer was: absolute times in integer nanoseconds, without I/O."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

SECOND = 1_000_000_000
STALL_NS = 200_000_000
"""An observer that wakes later than this has stalled: what it saw meanwhile accuses nobody."""


@dataclass(slots=True)
class Schedule:
    """One stream's due times: the first one and then every period, whatever happens meanwhile."""

    due_ns: int
    period_ns: int

    def __post_init__(self) -> None:
        if self.period_ns <= 0:
            raise ValueError(f"a period must be longer than nothing, not {self.period_ns} ns")

    def take(self, now_ns: int) -> int:
        """Take the slot that is due and return its time.

        The next slot is the first after `now_ns`: slots that passed meanwhile are skipped, never sent in a burst.
        """
        taken = self.due_ns
        passed = max(0, now_ns - taken) // self.period_ns
        self.due_ns = taken + (passed + 1) * self.period_ns
        return taken


class JitteredSchedule:
    """One due time in each slot of a period, uniformly at random, so that no periodic fault can hide between them."""

    def __init__(self, begin_ns: int, period_ns: int, seed: str) -> None:
        if period_ns <= 0:
            raise ValueError(f"a period must be longer than nothing, not {period_ns} ns")
        self._slot_ns = begin_ns
        self._period_ns = period_ns
        self._moment = random.Random(seed).randrange
        self.due_ns = begin_ns + self._moment(period_ns)

    def take(self, now_ns: int) -> int:
        """Take the slot that is due and return its time; slots whose time passed meanwhile are skipped."""
        taken, period = self.due_ns, self._period_ns
        self._slot_ns += max(1, (now_ns - self._slot_ns) // period) * period
        self.due_ns = self._slot_ns + self._moment(period)
        if self.due_ns <= now_ns:
            self._slot_ns += period
            self.due_ns = self._slot_ns + self._moment(period)
        return taken


def period_ns(rate: float) -> int:
    """The nanoseconds between two operations at a rate per second."""
    return round(SECOND / rate)


def stagger(begin_ns: int, rates: Sequence[float]) -> list[Schedule]:
    """A schedule per rate, each offset by its share of its own period, so that no two streams are due together.

    Staggered probers of one target see an outage as short as their joint period; in step they would see no more than
    one of them alone.
    """
    periods = [period_ns(rate) for rate in rates]
    return [Schedule(begin_ns + period * index // len(periods), period) for index, period in enumerate(periods)]


@dataclass(frozen=True, slots=True)
class Stall:
    """A stretch in which the observer itself did not run, from the last moment it is known to have; nanoseconds."""

    start_ns: int
    end_ns: int
    late_ns: int


class StallWatch:
    """Compares when an observer meant to be awake with when it was."""

    def __init__(self, now_ns: int, limit_ns: int = STALL_NS) -> None:
        self.worst_ns = 0
        self._limit_ns = limit_ns
        self._seen_ns = now_ns
        self._promised_ns = now_ns

    def asleep_until(self, due_ns: int) -> None:
        """The observer means to be awake again by then."""
        self._promised_ns = due_ns

    def awake(self, now_ns: int) -> Stall | None:
        """The observer is awake; returns the stall that has just ended, if it was one."""
        late = max(0, now_ns - self._promised_ns)
        self.worst_ns = max(self.worst_ns, late)
        stall = Stall(self._seen_ns, now_ns, late) if late > self._limit_ns else None
        self._seen_ns = self._promised_ns = now_ns
        return stall
