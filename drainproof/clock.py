"""Time as everything here sees it: monotonic nanoseconds of this host, anchored once to the wall clock."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time and lets it pass; tests replace it."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


class SystemClock:
    """The host's own clock."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Anchor:
    """One instant on both clocks; converts between them, in nanoseconds.

    The conversion is as good as the wall clock is steady: a step of the wall clock after the anchor was taken shifts
    every wall time by that step, and no monotonic time.
    """

    monotonic_ns: int
    wall_ns: int

    @classmethod
    def take(cls) -> Anchor:
        """Read the wall clock between two readings of the monotonic one, and take their middle."""
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        return cls(monotonic_ns=(before + after) // 2, wall_ns=wall)

    def wall(self, monotonic_ns: int) -> datetime:
        """The wall time of a monotonic instant, in UTC."""
        return datetime.fromtimestamp(self.wall_seconds(monotonic_ns), tz=UTC)

    def wall_seconds(self, monotonic_ns: int) -> float:
        """Seconds since the epoch of a monotonic instant, as Prometheus counts them."""
        return (self.wall_ns + monotonic_ns - self.monotonic_ns) / 1e9

    def monotonic(self, wall_seconds: float) -> int:
        """The monotonic nanosecond of a wall time in seconds since the epoch."""
        return self.monotonic_ns + int(wall_seconds * 1e9) - self.wall_ns
