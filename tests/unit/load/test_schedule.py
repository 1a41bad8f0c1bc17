"""The schedule is absolute, staggered and never bursts; lateness is seen and stalls are widened, not shortened."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load.schedule import SECOND, JitteredSchedule, Schedule, Stall, StallWatch, period_ns, stagger

MS = 1_000_000


def test_slots_stay_on_the_grid_however_late_they_are_taken() -> None:
    schedule = Schedule(100, 10)
    assert [schedule.take(now) for now in (100, 117, 120, 121)] == [100, 110, 120, 130]


def test_slots_that_passed_during_a_stall_are_skipped() -> None:
    schedule = Schedule(100, 10)
    assert schedule.take(163) == 100
    assert schedule.due_ns == 170


@given(st.integers(1, 10**6), st.lists(st.integers(0, 10**7), min_size=1))
def test_the_next_slot_is_always_in_the_future_and_on_the_grid(period: int, delays: list[int]) -> None:
    schedule, now = Schedule(0, period), 0
    for delay in delays:
        now = max(now, schedule.due_ns) + delay
        schedule.take(now)
        assert now < schedule.due_ns <= now + period
        assert schedule.due_ns % period == 0


def test_a_period_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        Schedule(0, 0)


def test_staggered_streams_of_one_rate_are_evenly_apart() -> None:
    dues = [schedule.due_ns for schedule in stagger(5 * SECOND, [10.0] * 4)]
    assert dues[0] == 5 * SECOND
    assert {later - earlier for earlier, later in pairwise(dues)} == {25 * MS}


def test_the_period_of_a_rate_is_in_whole_nanoseconds() -> None:
    assert (period_ns(3), period_ns(1000)) == (333_333_333, MS)


def test_waking_in_time_is_no_stall() -> None:
    watch = StallWatch(0)
    watch.asleep_until(50 * MS)
    assert watch.awake(51 * MS) is None
    assert watch.worst_ns == MS


def test_waking_early_is_not_late() -> None:
    watch = StallWatch(0)
    watch.asleep_until(50 * MS)
    assert watch.awake(10 * MS) is None
    assert watch.worst_ns == 0


def test_a_stall_reaches_back_to_the_last_moment_awake() -> None:
    watch = StallWatch(0)
    watch.awake(100 * MS)
    watch.asleep_until(150 * MS)
    assert watch.awake(3100 * MS) == Stall(100 * MS, 3100 * MS, 2950 * MS)
    watch.asleep_until(3150 * MS)
    assert watch.awake(3150 * MS) is None


@given(st.integers(1, 10**6), st.lists(st.integers(0, 10**7), min_size=1), st.text())
def test_a_jittered_slot_is_skipped_when_its_time_has_passed(period: int, delays: list[int], seed: str) -> None:
    schedule, now = JitteredSchedule(0, period, seed), 0
    for delay in delays:
        now = max(now, schedule.due_ns) + delay
        taken = schedule.take(now)
        assert taken <= now < schedule.due_ns < now + 2 * period


def test_each_slot_has_one_moment_that_is_anywhere_in_it_and_the_same_for_the_same_seed() -> None:
    one, same, other = (JitteredSchedule(0, 1000, seed) for seed in ("a", "a", "b"))
    moments = [one.take(one.due_ns) for _ in range(1000)]
    assert [moment // 1000 for moment in moments] == list(range(1000))
    assert [same.take(same.due_ns) for _ in range(1000)] == moments
    assert [other.take(other.due_ns) for _ in range(1000)] != moments
    tenths = [moment % 1000 // 100 for moment in moments]
    assert all(60 <= tenths.count(tenth) <= 140 for tenth in range(10))
