"""What is normal comes from the baseline, or is not known; voids are disjoint, in order, and only widen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.outages.calibration import calibrate
from reports.outages.voids import Voids
from reports.verdict import MissingEvidenceError
from tests.unit.outages.simulation import MS


def test_the_deadline_lies_above_the_slowest_undisturbed_answer() -> None:
    trips = np.concatenate([np.full(99, 200_000), [900_000]]).astype(np.int64)
    normal = calibrate(trips, 0, MS)
    assert (normal.typical_ns, normal.slow_ns) == (200_000, 900_000)
    assert normal.deadline_ns == 1_350_000
    assert (normal.drop_limit_ns, normal.hold_limit_ns) == (2 * MS, 2_700_000)


def test_one_slow_answer_in_a_hundred_thousand_does_not_move_the_deadline() -> None:
    trips = np.concatenate([np.full(99_999, 200_000), [500 * MS]]).astype(np.int64)
    assert calibrate(trips, 0, MS).slow_ns == 200_000


@pytest.mark.parametrize(
    ("answers", "lost", "reason"), [(10, 0, "10 answers"), (990, 20, "20 of 1010 probes")]
)
def test_a_baseline_that_is_too_short_or_lossy_tells_nothing(answers: int, lost: int, reason: str) -> None:
    with pytest.raises(MissingEvidenceError, match=reason):
        calibrate(np.full(answers, 200_000, np.int64), lost, MS)


spans = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 200)).map(lambda one: (one[0], one[0] + one[1])), max_size=8
)


def voids_of(found: list[tuple[int, int]]) -> Voids:
    edges = np.array(found, np.int64).reshape(-1, 2)
    return Voids.of(edges[:, 0], edges[:, 1])


@given(spans, st.integers(0, 1200))
def test_a_union_covers_what_its_parts_cover_and_nothing_else(found: list[tuple[int, int]], instant: int) -> None:
    voids = voids_of(found)
    assert bool(voids.covers(np.array([instant]))[0]) == any(a <= instant <= b for a, b in found if b > a)
    assert (voids.begin[1:] > voids.end[:-1]).all()
    covered = sum(1 for t in range(1200) if any(a <= t < b for a, b in found))
    assert voids.within(0, 1200) == covered


@given(spans, st.integers(0, 1200))
def test_an_arrival_is_never_moved_to_later(found: list[tuple[int, int]], instant: int) -> None:
    assert int(voids_of(found).earliest(np.array([instant]))[0]) <= instant
