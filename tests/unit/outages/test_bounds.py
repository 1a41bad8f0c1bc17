"""The closed forms agree with simulation."""

from __future__ import annotations

import numpy as np
import pytest

from reports.outages.bounds import detection_share, failure_rate, hidden_share, sure_length

TRIALS = 20_000


def test_hidden_share_is_the_rule_of_three_and_holds_in_simulation() -> None:
    assert hidden_share(60_000) == pytest.approx(3 / 60_000, rel=0.002)
    assert 60 * hidden_share(60_000, 0.99) == pytest.approx(4.6e-3, rel=0.01)
    share, probes = hidden_share(200), 200
    all_fine = (np.random.default_rng(1).random((TRIALS, probes)) >= share).all(axis=1)
    assert all_fine.mean() == pytest.approx(0.05, abs=0.01)


def test_without_a_probe_everything_may_have_been_down() -> None:
    assert hidden_share(0) == 1.0


@pytest.mark.parametrize(("clean", "percent"), [(20, 13.9), (30, 9.5), (59, 5.0), (299, 1.0)])
def test_clean_migrations_bound_the_rate_of_bad_ones(clean: int, percent: float) -> None:
    assert 100 * failure_rate(0, clean) == pytest.approx(percent, abs=0.05)


def test_the_bound_on_a_rate_holds_in_simulation() -> None:
    rate, trials = 0.1, 40
    seen = np.random.default_rng(2).binomial(trials, rate, TRIALS)
    below = np.array([failure_rate(events, trials) for events in range(trials + 1)])[seen] < rate
    assert below.mean() <= 0.05


def test_all_or_nothing_bounds_nothing() -> None:
    assert failure_rate(3, 3) == failure_rate(0, 0) == 1.0


@pytest.mark.parametrize("length", [0.1, 0.5, 0.99, 1.0, 2.0])
def test_a_periodic_prober_sees_an_outage_as_often_as_computed(length: float) -> None:
    phase = np.random.default_rng(3).random(TRIALS)
    seen = np.floor(phase + length) > np.floor(phase)
    assert seen.mean() == pytest.approx(detection_share(round(length * 1e6), 10**6), abs=0.015)


@pytest.mark.parametrize("probers", [1, 10, 1000])
def test_probers_of_independent_phase_need_longer_outages(probers: int) -> None:
    rate, chance = 100.0, np.random.default_rng(4)
    length = sure_length(rate, probers)
    period = probers / rate
    trials = TRIALS if probers < 100 else 2_000
    seen = (chance.random((trials, probers)) * period < length).any(axis=1)
    assert seen.mean() == pytest.approx(0.99, abs=0.008)


def test_staggered_probers_beat_independent_ones_by_four_and_a_half() -> None:
    assert sure_length(1000.0) == pytest.approx(0.99e-3)
    assert sure_length(1000.0, 10) == pytest.approx(3.69e-3, rel=0.01)
    assert sure_length(1000.0, 10**6) == pytest.approx(4.6e-3, rel=0.01)
