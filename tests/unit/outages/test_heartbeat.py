"""A heartbeat tells a guest that stood still from a path that was cut, and accuses neither while nobody listened."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.outages.heartbeat import Rhythm, find, rhythm
from reports.outages.voids import Times, Voids
from reports.verdict import MissingEvidenceError
from tests.unit.outages.simulation import MS

PERIOD = 10 * MS
NORMAL = Rhythm(PERIOD, MS)
WINDOW = (0, 2000 * MS)


def beat(count: int = 200, seed: int = 1) -> tuple[Times, Times]:
    """Arrivals and the guest's clock of an undisturbed heartbeat, with up to a third of a millisecond of jitter."""
    guest = PERIOD * np.arange(count, dtype=np.int64)
    return guest + np.random.default_rng(seed).integers(100_000, 400_000, count), guest


def paused(begin: int, length: int, seed: int = 1) -> tuple[Times, Times]:
    """A guest whose clock stands still during a pause: later ticks come later by the pause."""
    arrivals, guest = beat(seed=seed)
    return np.where(guest >= begin, arrivals + length, arrivals), guest


@given(st.integers(500 * MS, 600 * MS), st.integers(20 * MS, 700 * MS), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_a_pause_is_held_by_its_interval_and_told_by_the_guests_clock(begin: int, length: int, seed: int) -> None:
    (outage,) = find(*paused(begin, length, seed), NORMAL, Voids.none(), (0, WINDOW[1] + length)).outages
    assert outage.lo_ns <= length <= outage.hi_ns
    assert outage.frozen_ns is not None
    assert abs(outage.frozen_ns - length) < MS


@given(st.integers(500 * MS, 600 * MS), st.integers(25 * MS, 700 * MS))
@settings(max_examples=200, deadline=None)
def test_a_cut_path_leaves_the_guests_clock_alone(begin: int, length: int) -> None:
    arrivals, guest = beat()
    kept = (guest < begin) | (guest >= begin + length)
    (outage,) = find(arrivals[kept], guest[kept], NORMAL, Voids.none(), WINDOW).outages
    assert outage.lo_ns <= length <= outage.hi_ns
    assert outage.frozen_ns is not None
    assert abs(outage.frozen_ns) < MS


def test_an_undisturbed_heartbeat_has_no_outage() -> None:
    arrivals, guest = beat()
    normal = rhythm(arrivals, PERIOD, Voids.none())
    assert normal.slack_ns < MS
    assert find(arrivals, guest, normal, Voids.none(), (0, int(arrivals[-1]))).outages == ()


def test_ticks_that_nobody_read_in_time_accuse_nobody() -> None:
    arrivals, guest = beat()
    gone = (500 * MS, 600 * MS)
    late = np.where((arrivals > gone[0]) & (arrivals < gone[1]), gone[1] + 10_000, arrivals)
    voids = Voids.of(np.array([gone[0]]), np.array([gone[1]]))
    assert len(find(late, guest, NORMAL, Voids.none(), (0, int(late[-1]))).outages) == 1
    assert find(late, guest, NORMAL, voids, (0, int(late[-1]))).outages == ()


def test_a_guest_that_never_comes_back_is_an_open_outage() -> None:
    arrivals, guest = beat()
    (outage,) = find(arrivals[:100], guest[:100], NORMAL, Voids.none(), WINDOW).outages
    assert outage.open
    assert outage.frozen_ns is None


def test_a_baseline_with_too_few_ticks_tells_nothing() -> None:
    with pytest.raises(MissingEvidenceError, match="9 pairs of ticks"):
        rhythm(beat(10)[0], PERIOD, Voids.none())
