"""The statistics of the comparison: against other computations, and over simulated groups of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reports.compare import statistics
from reports.compare.order import drift, turns
from reports.compare.statistics import (
    cliffs_delta,
    fisher,
    hodges_lehmann,
    reachable,
    runs_needed,
    shift_interval,
    smallest,
)
from reports.statistics import holm, rank_test, share_interval

NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=9).map(lambda some: np.array(some, np.float64))


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_rank_test_is_exact_without_ties() -> None:
    chance = np.random.default_rng(1)
    for first, second in ((3, 4), (8, 9), (30, 30)):
        one, other = chance.normal(size=first), chance.normal(0.7, size=second)
        assert rank_test(one, other) == pytest.approx(stats.mannwhitneyu(one, other, method="exact").pvalue)


def test_rank_test_is_exact_with_ties() -> None:
    one, other = numbers(0, 0, 1, 1, 1, 2), numbers(1, 2, 2, 2, 3, 3, 3)
    ranks = stats.rankdata(np.concatenate((one, other)))
    expected = stats.permutation_test(
        (ranks[:6], ranks[6:]), lambda first, _, axis: first.sum(axis), vectorized=True, n_resamples=100_000
    )
    assert rank_test(one, other) == pytest.approx(expected.pvalue)


def test_rank_test_of_many_runs_and_of_equal_ones() -> None:
    assert rank_test(np.arange(50.0), np.arange(50.0) + 30) < 1e-8
    assert rank_test(np.ones(40), np.ones(40)) == 1
    assert rank_test(np.ones(4), np.ones(4)) == 1


def test_the_smallest_probability_is_that_of_the_most_extreme_order() -> None:
    for count in (2, 3, 5, 8):
        assert smallest(count, count) == pytest.approx(rank_test(np.arange(0.0, count), np.arange(99.0, 99.0 + count)))
    assert smallest(3, 3) == pytest.approx(0.1)
    assert smallest(0, 5) == 1


def test_runs_needed_grows_with_the_lines() -> None:
    assert runs_needed(1, 0.05) == 4
    assert runs_needed(200, 0.05) == 8
    assert smallest(8, 8) * 200 <= 0.05 < smallest(7, 7) * 200


def test_holm_by_the_book() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert reachable([0.01, 0.1, 0.1]) == pytest.approx([0.03, 0.2, 0.2])


def test_shift_and_delta() -> None:
    one, other = numbers(1, 2, 3), numbers(11, 12, 13)
    assert hodges_lehmann(one, other) == 10
    assert cliffs_delta(one, other) == 1
    assert cliffs_delta(other, one) == -1


def test_interval_of_runs_that_are_all_alike() -> None:
    assert shift_interval(np.ones(5), np.ones(5) * 3, [1])[:2] == (2, 2)


@pytest.mark.parametrize("count", [5, 12, 40])
def test_interval_is_that_of_another_bootstrap(count: int) -> None:
    chance = np.random.default_rng(count)
    one, other = chance.gamma(3, size=count), chance.gamma(3, size=count) + 1
    low, high, resamples = shift_interval(one, other, [7])

    def shift(first: np.ndarray, second: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.median(second[..., None, :] - first[..., :, None], axis=(-1, -2)))

    found = stats.bootstrap((one, other), shift, n_resamples=resamples, method="percentile", vectorized=True, batch=200,
                            rng=np.random.default_rng(8)).confidence_interval
    assert low == pytest.approx(found.low, abs=0.15)
    assert high == pytest.approx(found.high, abs=0.15)


def test_interval_is_the_same_for_the_same_seed() -> None:
    chance = np.random.default_rng(3)
    one, other = chance.normal(size=30), chance.normal(size=30)
    assert shift_interval(one, other, [1, 2]) == shift_interval(one, other, [1, 2])
    assert shift_interval(one, other, [1, 2]) != shift_interval(one, other, [1, 3])


def test_interval_covers_the_true_shift_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", (399, 399))
    chance = np.random.default_rng(4)
    hits = 0
    for number in range(120):
        low, high, _ = shift_interval(chance.gamma(2, size=12), chance.gamma(2, size=12) + 1, [number])
        hits += low <= 1 <= high
    assert 0.87 <= hits / 120 <= 0.99


def test_rank_test_errs_as_often_as_it_says_without_a_difference() -> None:
    chance = np.random.default_rng(5)
    wrong = sum(rank_test(chance.gamma(2, size=8), chance.gamma(2, size=8)) <= 0.05 for _ in range(2000))
    assert 0.03 <= wrong / 2000 <= 0.055


def test_shares() -> None:
    low, high = share_interval(10, 10)
    assert (round(low, 3), high) == (0.692, 1)
    assert share_interval(0, 0) == (0, 1)
    assert fisher((10, 0), (0, 10)) < 0.001
    assert fisher((5, 5), (5, 5)) == 1


@given(NUMBERS, NUMBERS)
@settings(max_examples=60, deadline=None)
def test_exchanging_the_groups_turns_the_shift_and_keeps_the_probability(one: np.ndarray, other: np.ndarray) -> None:
    assert rank_test(one, other) == pytest.approx(rank_test(other, one))
    assert hodges_lehmann(one, other) == pytest.approx(-hodges_lehmann(other, one))
    assert cliffs_delta(one, other) == pytest.approx(-cliffs_delta(other, one))
    assert smallest(len(one), len(other)) - 1e-12 <= rank_test(one, other) <= 1
    assert hodges_lehmann(one, other + 5) == pytest.approx(hodges_lehmann(one, other) + 5)


@given(st.lists(st.floats(0, 1), max_size=20))
@settings(max_examples=60, deadline=None)
def test_correction_never_makes_a_probability_smaller_and_keeps_the_order(probabilities: list[float]) -> None:
    corrected = holm(probabilities)
    assert all(after >= before for before, after in zip(probabilities, corrected, strict=True))
    order = np.argsort(probabilities, kind="stable")
    assert all(np.diff(np.array(corrected)[order]) >= 0)


@pytest.mark.parametrize(
    ("order", "clear"),
    [("ABABAB", True), ("ABBAABBA", True), ("AABBABAB", True), ("AAABBB", False), ("AAAABBBB", False),
     ("BBBBAAAA", False), ("ABBBBBBBAAAAAA", False), ("AAABBBBBBAAA", False), ("AB", False)],
)
def test_groups_take_turns_or_not(order: str, clear: bool) -> None:
    times = {letter: [float(number) for number, one in enumerate(order) if one == letter] for letter in "AB"}
    told = turns(("first", times["A"]), ("second", times["B"]))
    assert (told.confounded == "") is clear
    assert told.order == " ".join(order)


def _trend(values: Sequence[float] | np.ndarray) -> float | None:
    told = drift([float(number) for number in range(len(values))], np.array(values))
    return told.change if told else None


def test_drift_is_told_only_where_there_is_one() -> None:
    chance = np.random.default_rng(6)
    assert _trend(chance.normal(size=20)) is None
    assert _trend(np.arange(20) * 0.5 + chance.normal(size=20)) == pytest.approx(9.5, abs=2)
    assert _trend([1, 2, 3]) is None
    assert _trend([1.0] * 10) is None
