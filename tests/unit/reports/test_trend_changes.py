"""Change points: seldom in noise, near the true place, not from an outlier or from spread alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.statistics import holm
from reports.trend.changes import ENOUGH, Values, changes, outliers, p_of_step
from reports.trend.penalty import FALSE_ALARMS, PENALTIES, boundaries, penalty, simulated, standardised

NOISES: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "normal": lambda random, count: random.normal(1, 0.1, count),
    "with a long tail": lambda random, count: random.lognormal(0, 1, count),
    "of ties": lambda random, count: np.round(random.normal(10, 1, count)),
    "of rare failures": lambda random, count: (random.random(count) < 0.1).astype(float),
}


@pytest.mark.parametrize("count", [30, 60, 200])
@pytest.mark.parametrize("noise", NOISES)
def test_noise_seldom_has_a_change(noise: str, count: int) -> None:
    """One in a hundred series, by the stated rate; of 300, more than 9 have less than 0.2 % chance."""
    random = np.random.default_rng(count)
    found = sum(bool(changes(NOISES[noise](random, count))) for _ in range(300))
    assert found <= 9


@pytest.mark.parametrize("count", [20, 30, 100])
def test_the_stored_penalties_have_the_stated_rate(count: int) -> None:
    random = np.random.default_rng(7)
    series = [random.permutation(count).astype(float) for _ in range(2000)]
    alarms = sum(bool(boundaries(values, penalty(count))) for values in series)
    assert 0.4 * FALSE_ALARMS < alarms / 2000 < 2 * FALSE_ALARMS


def test_the_stored_penalties_are_those_that_were_simulated() -> None:
    assert simulated(20, 800, seed=5) == pytest.approx(penalty(20), abs=0.8)


def test_the_penalty_grows_with_the_length() -> None:
    grown = [penalty(count) for count in range(PENALTIES[0][0], 1500, 7)]
    assert grown == sorted(grown)


@pytest.mark.parametrize("direction", [-1, 1])
def test_a_step_is_found_within_two_runs(direction: int) -> None:
    """Of three standard deviations, anywhere but in the first and last runs; the interval holds the true place."""
    random = np.random.default_rng(11)
    near = inside = 0
    for _ in range(100):
        count = int(random.integers(30, 120))
        at = int(random.integers(8, count - 8))
        values = random.normal(0, 1, count)
        values[at:] += 3 * direction
        found = min(changes(values), key=lambda change: change.p)
        assert (found.after > found.before) == (direction > 0)
        near += abs(found.at - at) <= 2
        inside += found.earliest <= at <= found.latest
    assert near >= 90
    assert inside >= 93


def test_four_bad_runs_at_the_end_make_a_change() -> None:
    values = np.concatenate((np.random.default_rng(2).normal(1, 0.05, 40), [1.9, 2.0, 2.1, 2.05]))
    (found,) = changes(values)
    assert found.at == 40
    assert found.p < 0.01


def test_two_steps_are_both_named_in_order() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.normal(level, 0.1, 25) for level in (1.0, 2.0, 1.4)])
    assert [round(change.at / 5) for change in changes(values)] == [5, 10]


def test_a_slow_drift_becomes_steps_of_one_direction() -> None:
    random = np.random.default_rng(4)
    found = changes(np.linspace(1, 2, 90) + random.normal(0, 0.05, 90))
    assert len(found) >= 2
    assert all(change.after > change.before for change in found)


def test_one_outlier_is_an_outlier_and_no_change() -> None:
    values = np.random.default_rng(5).normal(1, 0.05, 40)
    values[17] = 9.0
    assert changes(values) == ()
    assert outliers(values, ()) == (17,)


def test_an_outlier_among_equal_values_is_seen() -> None:
    values = np.zeros(20)
    values[12] = 3
    assert outliers(values, ()) == (12,)
    assert outliers(np.zeros(20), ()) == ()


def test_a_change_of_spread_alone_is_seldom_named() -> None:
    random = np.random.default_rng(6)
    series = [np.concatenate((random.normal(1, 0.05, 30), random.normal(1, 0.25, 30))) for _ in range(200)]
    assert sum(bool(changes(values)) for values in series) <= 12


def test_too_few_values_have_no_change() -> None:
    assert changes(np.array([1.0] * 3 + [9.0] * (ENOUGH - 4))) == ()
    assert changes(np.array([])) == ()


def test_the_p_of_the_clearest_step_of_noise_is_uniform_or_larger() -> None:
    """The place is chosen by the data, and the test knows that."""
    random = np.random.default_rng(8)
    small = 0
    for _ in range(400):
        values = random.normal(size=24)
        sums = np.abs(np.cumsum(standardised(values)))[:-1]
        at = np.arange(1, 24)
        best = int(np.argmax((sums / np.sqrt(at * (24 - at)))[3:20])) + 4
        small += p_of_step(values, best) <= 0.05
    assert small <= 32


@pytest.mark.parametrize("after", [[2.0 + number / 100 for number in range(12)], [2.0] * 12])
def test_a_step_clearer_than_any_random_order_has_the_p_of_an_exact_test(after: list[float]) -> None:
    """All of the 12 later values above all of the 30 earlier ones, by one order in C(42, 12) and its mirror."""
    before = [1.0 + number / 100 for number in range(30)] if after[0] != after[1] else [1.0] * 30
    p = p_of_step(np.array([*before, *after]), 30)
    assert 0 < p <= 2 * 35 / math.comb(42, 12) * 1.0001


def test_the_same_values_have_the_same_changes() -> None:
    values = np.concatenate((np.random.default_rng(9).normal(1, 0.1, 30), np.random.default_rng(10).normal(2, 0.1, 9)))
    assert changes(values) == changes(values.copy())


def test_ranks_do_not_mind_the_scale() -> None:
    """Changes are found by ranks: any growing function of the values has them at the same places."""
    values = np.concatenate((np.random.default_rng(9).normal(1, 0.1, 30), np.random.default_rng(10).normal(2, 0.1, 9)))
    assert [change.at for change in changes(np.exp(3 * values))] == [change.at for change in changes(values)]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_only_raises_and_keeps_the_order(found: list[float]) -> None:
    adjusted = holm(found)
    assert all(p <= after <= 1 for p, after in zip(found, adjusted, strict=True))
    ordered = [after for _, after in sorted(zip(found, adjusted, strict=True))]
    assert ordered == sorted(ordered)
