"""Exchanges of clocks: the bounds hold the truth, whatever the network does; what cannot be is refused."""

from __future__ import annotations

import random

import pytest

from drainproof.exchange import (
    ClockError,
    Exchange,
    Offset,
    clock_identity,
    estimate,
    exchanged,
    same_clock,
    spanning,
)

TRUE_OFFSET = -7_000_000_000


def made(there_ns: int, back_ns: int, sent_ns: int = 10**12, worked_ns: int = 1000) -> Exchange:
    """An exchange with a clock that is ahead by seven seconds."""
    received = sent_ns + there_ns - TRUE_OFFSET
    return Exchange(sent_ns, received, received + worked_ns, sent_ns + there_ns + worked_ns + back_ns)


def test_the_bounds_hold_the_truth_however_uneven_the_ways_are() -> None:
    chance = random.Random(7)
    for _ in range(200):
        exchanges = [made(chance.randrange(10**8), chance.randrange(10**8)) for _ in range(5)]
        found = estimate(exchanges)
        assert found.holds(TRUE_OFFSET)
        assert found.uncertainty_ns <= min(one.high_ns - one.low_ns for one in exchanges) // 2 + 1


def test_a_way_that_is_slow_on_one_side_only_is_within_the_bounds_and_not_in_their_middle() -> None:
    found = estimate([made(0, 10_000_000)])
    assert found == Offset(TRUE_OFFSET + 5_000_000, 5_000_000)


def test_one_offset_for_all_the_time_holds_both_estimates() -> None:
    """A clock that drifts by 4 ms meanwhile is known the worse by that."""
    both = spanning(Offset(1_000_000, 500_000), Offset(5_000_000, 1_000_000))
    assert both == Offset(3_250_000, 2_750_000)
    assert both.holds(500_000)
    assert both.holds(6_000_000)
    assert not both.holds(6_000_001)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ClockError, match="no exchange"):
        estimate([])
    with pytest.raises(ClockError, match="cannot be"):
        estimate([Exchange(sent_ns=100, received_ns=0, left_ns=500, answered_ns=200)])
    with pytest.raises(ClockError, match="tells no time"):
        exchanged(lambda: {"received_ns": 1}, lambda: 0, 1)


def test_two_processes_of_one_kernel_have_one_clock_and_only_if_both_say_so() -> None:
    mine = clock_identity()
    assert all(mine.values())
    assert same_clock(mine, dict(mine))
    assert not same_clock(mine, {**mine, "time_namespace": "time:[1]"})
    assert not same_clock(mine, {})
    assert not same_clock(dict.fromkeys(mine, ""), dict.fromkeys(mine, ""))
