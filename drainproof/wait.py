"""The one place that waits: a deadline made once, a predicate asked again and again, the last state in the error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from drainproof.clock import Clock, SystemClock
from drainproof.errors import ApiError, NotFoundError, UnexpectedStateError, WaitTimeoutError

Seen = TypeVar("Seen")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment by which something must be done; made once and passed down, so that nested waits share what is left."""

    seconds: float
    clock: Clock = field(default_factory=SystemClock)
    started_ns: int = -1

    def __post_init__(self) -> None:
        if self.started_ns < 0:
            object.__setattr__(self, "started_ns", self.clock.monotonic_ns())

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.seconds - (self.clock.monotonic_ns() - self.started_ns) / 1e9)

    @property
    def expired(self) -> bool:
        return self.remaining <= 0

    def at_most(self, seconds: float) -> Deadline:
        """A deadline that ends with this one or after `seconds`, whichever is sooner."""
        return Deadline(min(seconds, self.remaining), self.clock)


class Wakener(Protocol):
    """Whoever knows when it is worth looking again, such as a copy of objects that a watch keeps current."""

    @property
    def count(self) -> int:
        """How much has changed until now."""

    def await_change(self, after: int, seconds: float) -> None:
        """Return when the count is another than `after`, or when the seconds are over."""


WAKE_SECONDS = 0.05
"""How soon after one look the next may follow, however much changes."""


def wait(
    what: str,
    look: Callable[[], Seen],
    *,
    until: Callable[[Seen], bool],
    deadline: Deadline,
    never: Callable[[Seen], bool] | None = None,
    steady: int = 1,
    every: float = 0.25,
    describe: Callable[[Seen], object] = lambda seen: seen,
    wakened_by: Wakener | None = None,
) -> Seen:
    """Look until `until` holds `steady` times in a row; return what was seen then.

    `what` is the expectation in words, `never` a state that ends the wait at once, `every` the pause between two looks
    in seconds, `describe` shortens what the error shows; `wakened_by` ends a pause early when something has changed.
    Raises WaitTimeoutError with the last state seen, or UnexpectedStateError when `never` holds.
    """
    in_a_row = 0
    while True:
        count = wakened_by.count if wakened_by else 0
        seen = look()
        if never is not None and never(seen):
            raise UnexpectedStateError(what, describe(seen))
        in_a_row = in_a_row + 1 if until(seen) else 0
        if in_a_row >= steady:
            return seen
        if deadline.expired:
            raise WaitTimeoutError(what, deadline.seconds, describe(seen))
        rest = min(every, max(deadline.remaining, 0.001))
        if wakened_by:
            # In a large cluster something changes all the time; looking all the time would keep a processor busy.
            deadline.clock.sleep(min(WAKE_SECONDS, rest))
            wakened_by.await_change(count, max(rest - WAKE_SECONDS, 0.0))
        else:
            deadline.clock.sleep(rest)


def pause(seconds: float, deadline: Deadline) -> None:
    """Let time pass, for what is defined by its length (a baseline, a pace), but never past the deadline."""
    deadline.clock.sleep(min(seconds, deadline.remaining))


def answered(what: str, ask: Callable[[], Seen], deadline: Deadline) -> Seen:
    """What the API answers, once it does: somebody else's case may be disturbing it just now.

    NotFoundError is an answer, and raised. Raises WaitTimeoutError with the last of the other errors.
    """

    def look() -> tuple[Seen] | ApiError:
        try:
            return (ask(),)
        except NotFoundError:
            raise
        except ApiError as error:
            return error

    seen = wait(what, look, until=lambda seen: isinstance(seen, tuple), deadline=deadline, every=1.0)
    assert isinstance(seen, tuple)
    return seen[0]
