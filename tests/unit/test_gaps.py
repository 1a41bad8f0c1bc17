"""Gaps: the same answer from stored samples and from a running stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainproof.gaps import Gap, LongestGap, gaps, longest_gap
from drainproof.record.samples import Outcome, Samples

MS = 1_000_000


def stream(*operations: tuple[int, int, Outcome]) -> Samples:
    """Samples of (start, end, outcome), times in milliseconds."""
    starts = np.array([start * MS for start, _, _ in operations], np.int64)
    ends = np.array([end * MS for _, end, _ in operations], np.int64)
    outcomes = np.array([outcome for _, _, outcome in operations], np.int8)
    return Samples("http-new/a", starts, starts, ends, outcomes, np.full(len(operations), -1, np.int64))


def steady(*ends: int) -> Samples:
    return stream(*((end - 1, end, Outcome.OK) for end in ends))


def test_gaps_lie_between_answers_and_the_window_closes_the_open_ends() -> None:
    found = gaps(steady(10, 20, 50), (5 * MS, 60 * MS))
    assert found == [Gap(5 * MS, 10 * MS), Gap(10 * MS, 20 * MS), Gap(20 * MS, 50 * MS), Gap(50 * MS, 60 * MS)]


def test_a_stream_without_a_success_is_one_gap() -> None:
    assert gaps(stream((10, 12, Outcome.ERROR)), (0, 100 * MS)) == [Gap(0, 100 * MS)]


def test_no_samples_at_all_are_one_gap() -> None:
    assert longest_gap(stream(), (3, 9)) == Gap(3, 9)


def test_failures_do_not_end_a_gap() -> None:
    failures = [(10, 11, Outcome.TIMEOUT), (20, 21, Outcome.INDETERMINATE), (25, 26, Outcome.ERROR)]
    samples = stream((0, 1, Outcome.OK), *failures, (30, 31, Outcome.OK))
    assert longest_gap(samples, (1 * MS, 31 * MS)) == Gap(1 * MS, 31 * MS)


def test_held_requests_answered_late_do_not_hide_the_silence() -> None:
    held = [(start, max(start + 1, 3000), Outcome.OK) for start in range(0, 3000, 100)]
    before = [(start, start + 1, Outcome.OK) for start in range(-1000, 0, 100)]
    gap = longest_gap(stream(*before, *held), (-1000 * MS, 3100 * MS))
    assert gap == Gap(-99 * MS, 3000 * MS)


def test_answers_outside_of_the_window_do_not_count() -> None:
    assert gaps(steady(1, 50, 99), (10 * MS, 60 * MS)) == [Gap(10 * MS, 50 * MS), Gap(50 * MS, 60 * MS)]


def test_a_window_must_not_end_before_it_begins() -> None:
    with pytest.raises(ValueError, match="must not end before it begins"):
        gaps(steady(1), (5, 4))


def answers(*ends: int) -> npt.NDArray[np.int64]:
    return np.array(ends, np.int64)


@given(st.lists(st.integers(1, 10_000), min_size=1), st.sets(st.integers(0, 20)), st.integers(0, 5_000))
def test_running_and_stored_agree_however_the_answers_come_in(ends: list[int], cuts: set[int], tail: int) -> None:
    ordered = sorted(ends)
    running = LongestGap(0)
    for batch in np.split(answers(*ordered) * MS, sorted(cuts)):
        running.successes(batch)
    window = (ordered[0] * MS, (ordered[-1] + tail) * MS)
    assert running.longest_ns(window[1]) == longest_gap(steady(*ends), window).length_ns
    assert running.current_ns(window[1]) == tail * MS


@given(st.lists(st.integers(0, 10_000)), st.integers(-(10**12), 10**12))
def test_shifting_time_shifts_the_gaps(ends: list[int], shift: int) -> None:
    moved = gaps(steady(*(end + shift for end in ends)), (shift * MS, (shift + 20_000) * MS))
    assert [Gap(gap.start_ns - shift * MS, gap.end_ns - shift * MS) for gap in moved] == gaps(
        steady(*ends), (0, 20_000 * MS)
    )


@given(st.lists(st.integers(0, 10_000)), st.integers(0, 10_000))
def test_one_more_success_never_lengthens_a_gap(ends: list[int], more: int) -> None:
    window = (0, 10_000 * MS)
    assert longest_gap(steady(*ends, more), window).length_ns <= longest_gap(steady(*ends), window).length_ns


def test_before_the_first_success_the_open_gap_counts_and_is_then_forgotten() -> None:
    running = LongestGap(100)
    assert running.longest_ns(900) == 800
    running.successes(answers(1000))
    assert running.longest_ns(1010) == 10


def test_an_answer_from_before_the_last_one_changes_nothing() -> None:
    running = LongestGap(0)
    for answered in (10, 30, 20, 35):
        running.successes(answers(answered))
    assert (running.longest_ns(35), running.current_ns(36)) == (20, 1)
