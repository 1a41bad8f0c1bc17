"""How far another host's monotonic clock lies from this one's, and how surely: by exchanges of requests and answers.

An answer that says when its request came and when it left bounds the difference of the clocks, whatever the network
does: the request came after it was sent, the answer left before it arrived (the intersection of RFC 5905, section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drainproof.errors import DrainproofError

EXCHANGES: Final = 5
"""So many are made before and after: the quickest of them decides."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_NAMESPACE = Path("/proc/self/ns/time")


class ClockError(DrainproofError):
    """Another host's clock was told in a way that cannot be true."""


def clock_identity() -> dict[str, str]:
    """By what two processes know that they read the same CLOCK_MONOTONIC: the kernel's boot, and the time namespace.

    Empty words where the kernel does not tell.
    """
    try:
        boot, space = BOOT_ID.read_text(encoding="ascii").strip(), str(TIME_NAMESPACE.readlink())
    except OSError:
        return {"boot": "", "time_namespace": ""}
    return {"boot": boot, "time_namespace": space}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, in nanoseconds: sent and answered by this clock, received and left by the other."""

    sent_ns: int
    received_ns: int
    left_ns: int
    answered_ns: int

    @property
    def low_ns(self) -> int:
        """What must be added to the other's clock at least: the answer arrived after it had left."""
        return self.sent_ns - self.received_ns

    @property
    def high_ns(self) -> int:
        """What may be added at most: the request was sent before it came."""
        return self.answered_ns - self.left_ns


@dataclass(frozen=True, slots=True)
class Offset:
    """What has to be added to another clock to get this one's time, within plus or minus `uncertainty_ns`."""

    offset_ns: int
    uncertainty_ns: int

    @classmethod
    def between(cls, low_ns: int, high_ns: int) -> Offset:
        """The middle of two bounds; half their distance is how unsure it is."""
        middle = (low_ns + high_ns) // 2
        return cls(middle, max(high_ns - middle, middle - low_ns))

    def holds(self, offset_ns: int) -> bool:
        """Whether an offset lies within the bounds."""
        return abs(offset_ns - self.offset_ns) <= self.uncertainty_ns


def estimate(exchanges: Iterable[Exchange]) -> Offset:
    """What all exchanges together allow; raises ClockError when there is none, or when they contradict one another.

    Made within a second or so: meanwhile two clocks drift by less than a microsecond per hundred of them.
    """
    made = list(exchanges)
    if not made:
        raise ClockError("no exchange of clocks succeeded")
    best = min(made, key=lambda one: one.high_ns - one.low_ns)
    if best.high_ns < best.low_ns:
        raise ClockError(f"an answer took {best.high_ns - best.low_ns} ns: the other clock tells what cannot be")
    return Offset.between(best.low_ns, best.high_ns)


def spanning(before: Offset, after: Offset) -> Offset:
    """One offset for all the time between two estimates: its bounds hold both, and so a drift from one to the other."""
    estimates = (before, after)
    low = min(one.offset_ns - one.uncertainty_ns for one in estimates)
    high = max(one.offset_ns + one.uncertainty_ns for one in estimates)
    return Offset.between(low, high)


def exchanged(ask: Callable[[], Mapping[str, Any]], clock: Callable[[], int], count: int = EXCHANGES) -> list[Exchange]:
    """Make exchanges: `ask` sends one request and returns `received_ns` and `sent_ns` of the other clock.

    Raises what `ask` raises, and ClockError when the answer tells no times.
    """
    made = []
    for _ in range(count):
        sent = clock()
        answer = ask()
        answered = clock()
        try:
            made.append(Exchange(sent, int(answer["received_ns"]), int(answer["sent_ns"]), answered))
        except (KeyError, TypeError, ValueError) as error:
            raise ClockError(f"the answer tells no time: {error}") from error
    return made


def same_clock(mine: Mapping[str, str], other: Mapping[str, Any]) -> bool:
    """Whether both processes have told that they read one clock."""
    return all(mine.values()) and all(other.get(name) == value for name, value in mine.items())
