"""Limits from history: the bounds cover the quantile as often as they say, and admit when they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.trend.limits import CONFIDENCE, FEWEST, propose, rounded_up, upper


@pytest.mark.parametrize(("count", "quantile"), [(59, 0.95), (100, 0.95), (250, 0.95), (300, 0.99), (700, 0.99)])
def test_the_bound_lies_above_the_quantile_as_often_as_it_says(count: int, quantile: float) -> None:
    """Of uniform values, whose quantile is known; 2000 histories tell 95 % from 93.5 % with near certainty."""
    random = np.random.default_rng(count)
    covered = [upper(sorted(random.random(count).tolist()), quantile).value >= quantile for _ in range(2000)]
    assert upper(list(range(count)), quantile).holds
    assert np.mean(covered) >= CONFIDENCE - 0.015


@pytest.mark.parametrize(("count", "quantile"), [(58, 0.95), (298, 0.99)])
def test_one_run_less_than_needed_proves_nothing(count: int, quantile: float) -> None:
    """Then it is the largest value, with the confidence that it has."""
    bound = upper(list(range(count)), quantile)
    assert not bound.holds
    assert bound.value == count - 1
    assert bound.confidence == pytest.approx(1 - quantile**count)
    assert bound.needed == count + 1


def test_the_bound_is_not_looser_than_it_must_be() -> None:
    """One order statistic less would not hold."""
    bound = upper(list(range(500)), 0.95)
    assert bound.value < 499
    lower = upper(list(range(500)), 0.95)
    assert lower.confidence >= CONFIDENCE


def test_too_few_runs_propose_nothing() -> None:
    assert propose([0.3] * (FEWEST - 1), 0.1) is None
    assert propose([0.3] * FEWEST, 0.1) is not None


def test_a_proposal_is_never_below_the_detection_limit() -> None:
    proposal = propose([0.001] * 400, 0.4)
    assert proposal is not None
    assert proposal.limit == 0.4


@given(st.lists(st.floats(0, 1e6), min_size=FEWEST, max_size=400), st.floats(0, 10))
def test_a_proposal_covers_its_bounds_and_the_instrument(values: list[float], floor: float) -> None:
    proposal = propose(values, floor)
    assert proposal is not None
    assert proposal.p95.value <= proposal.p99.value <= proposal.largest == max(values)
    assert proposal.limit >= max(proposal.p99.value, floor)


@given(st.floats(1e-9, 1e9))
def test_rounding_goes_up_by_at_most_a_hundredth(value: float) -> None:
    assert value * (1 - 1e-9) <= rounded_up(value) <= value * 1.0101
