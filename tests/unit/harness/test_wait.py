"""Waiting: deadlines are shared, errors tell the last state, terminal states end the wait."""

from __future__ import annotations

from itertools import pairwise

import pytest

from drainproof.errors import ApiError, NotFoundError, UnexpectedStateError, WaitTimeoutError
from drainproof.wait import WAKE_SECONDS, Deadline, answered, pause, wait
from tests.unit.harness.fakes import FakeClock


def test_returns_what_was_seen() -> None:
    """The state that fulfils the expectation is the result."""
    states = iter(["Pending", "Running"])
    seen = wait("it runs", lambda: next(states), until=lambda s: s == "Running", deadline=Deadline(5, FakeClock()))
    assert seen == "Running"


def test_timeout_names_expectation_time_and_last_state() -> None:
    """A wait that fails says what was expected, for how long, and what was there instead."""
    clock = FakeClock()
    with pytest.raises(WaitTimeoutError, match=r"it runs: not within 5 s; last seen: Pending"):
        wait("it runs", lambda: "Pending", until=lambda s: s == "Running", deadline=Deadline(5, clock))
    assert 5 <= clock.now_ns / 1e9 < 5.3


def test_terminal_state_ends_the_wait_at_once() -> None:
    """A state from which the expected one cannot follow is not waited out."""
    clock = FakeClock()
    with pytest.raises(UnexpectedStateError, match="Failed"):
        wait("it runs", lambda: "Failed", until=lambda s: s == "Running", never=lambda s: s == "Failed",
             deadline=Deadline(60, clock))
    assert clock.now_ns == 0


def test_steady_needs_successes_in_a_row() -> None:
    """One relapse starts the count anew."""
    states = iter([True, True, False, True, True, True])
    seen: list[bool] = []

    def look() -> bool:
        seen.append(next(states))
        return seen[-1]

    wait("steady", look, until=bool, deadline=Deadline(60, FakeClock()), steady=3)
    assert len(seen) == 6


def test_however_much_changes_looks_are_a_while_apart() -> None:
    """In a large cluster every look would find that something has changed since."""
    clock = FakeClock()
    looks: list[int] = []

    def look() -> int:
        looks.append(clock.now_ns)
        return len(looks)

    class Restless:
        count = 0

        def await_change(self, after: int, seconds: float) -> None:
            self.count += 1

    wait(
        "the twentieth look", look, until=lambda seen: seen == 20, deadline=Deadline(60, clock), every=10,
        wakened_by=Restless(),
    )
    assert [after - before for before, after in pairwise(looks)] == [pytest.approx(1e9 * WAKE_SECONDS)] * 19


def test_nested_waits_share_what_is_left() -> None:
    """A deadline made from another never ends later than it."""
    clock = FakeClock()
    outer = Deadline(10, clock)
    clock.sleep(7)
    assert outer.at_most(60).seconds == pytest.approx(3)
    pause(100, outer)
    assert clock.now_ns == pytest.approx(10e9)


def test_an_answer_is_waited_for_and_not_found_is_one() -> None:
    """Only the API's trouble is waited out."""
    answers: list[Exception | int] = [ApiError("GET", 500, "", "a"), ApiError("GET", 0, "", "b"), 7]

    def ask() -> int:
        seen = answers.pop(0)
        if isinstance(seen, Exception):
            raise seen
        return seen

    clock = FakeClock()
    assert answered("it tells", ask, Deadline(10, clock)) == 7
    assert clock.now_ns == 2 * 10**9
    answers[:] = [NotFoundError("GET", 404, "", "none")]
    with pytest.raises(NotFoundError):
        answered("it tells", ask, Deadline(10, clock))
    answers[:] = [ApiError("GET", 503, "", "last")] * 20
    with pytest.raises(WaitTimeoutError, match="last"):
        answered("it tells", ask, Deadline(5, clock))
