"""The interval holds the truth: dropped, held, while the stopwatch was away, and however the stream is cut."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.outages.estimator import find
from reports.outages.outage import Finding, Outage, Probes
from reports.outages.voids import Voids
from tests.unit.outages.simulation import CALIBRATION, MS, Blackout, answered_through, away, schedule

SECOND = 1000 * MS


def search(probes: Probes, voids: Voids | None = None, window: tuple[int, int] | None = None) -> Finding:
    return find([probes], CALIBRATION, voids or Voids.none(), window or (0, int(probes.start[-1])))


def stream(blackouts: Sequence[Blackout], seed: int = 1, seconds: float = 1.0) -> Probes:
    return answered_through(schedule(int(seconds * 1000)), blackouts, np.random.default_rng(seed))


def the_one(finding: Finding) -> Outage:
    assert len(finding.outages) == 1
    return finding.outages[0]


blackouts = st.builds(
    lambda begin, length, held: Blackout(begin, begin + length, held),
    st.integers(100 * MS, 110 * MS), st.integers(2 * MS, 400 * MS), st.booleans(),
)


@given(blackouts, st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_the_interval_holds_the_truth_and_the_midpoint_is_about_within_one_period(truth: Blackout, seed: int) -> None:
    outage = the_one(search(stream([truth], seed)))
    assert outage.lo_ns <= truth.length <= outage.hi_ns
    assert abs(outage.mid_ns - truth.length) <= CALIBRATION.period_ns + CALIBRATION.typical_ns
    assert outage.held is truth.held


@pytest.mark.parametrize("held", [False, True])
def test_the_midpoint_has_no_bias(held: bool) -> None:
    chance = np.random.default_rng(7)
    errors = []
    for seed in range(200):
        begin = 100 * MS + int(chance.integers(0, 2 * MS))
        truth = Blackout(begin, begin + int(chance.integers(5 * MS, 60 * MS)), held)
        errors.append(the_one(search(stream([truth], seed, 0.3))).mid_ns - truth.length)
    assert abs(float(np.mean(errors))) < 0.1 * MS


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_blackout_of_two_periods_is_always_found(seed: int, held: bool) -> None:
    begin = 100 * MS + seed
    truth = Blackout(begin, begin + (CALIBRATION.hold_limit_ns if held else CALIBRATION.drop_limit_ns), held)
    assert len(search(stream([truth], seed, 0.2)).outages) == 1


@given(blackouts, st.lists(st.integers(1, 999), max_size=6), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_how_the_stream_is_cut_changes_nothing(truth: Blackout, cuts: list[int], seed: int) -> None:
    probes = stream([truth], seed)
    whole = search(probes)
    edges = [0, *sorted(cuts), len(probes)]
    chunks = [probes.part(first, last) for first, last in itertools.pairwise(edges) if last > first]
    assert find(chunks, CALIBRATION, Voids.none(), (0, int(probes.start[-1]))) == whole


@given(blackouts, st.integers(-(10**15), 10**15))
@settings(max_examples=100, deadline=None)
def test_shifting_time_shifts_the_answer(truth: Blackout, shift: int) -> None:
    probes = stream([truth])
    moved = Probes(probes.start + shift, probes.end + shift, probes.answered)
    one, other = the_one(search(probes)), the_one(search(moved, window=(shift, int(moved.start[-1]))))
    edges = ("begin_lo", "begin_hi", "end_lo", "end_hi")
    assert [getattr(other, edge) - getattr(one, edge) for edge in edges] == [shift] * 4
    assert (one.lo_ns, one.mid_ns, one.hi_ns) == (other.lo_ns, other.mid_ns, other.hi_ns)


@given(blackouts, st.floats(0.0, 1.0), st.integers(0, 99))
@settings(max_examples=200, deadline=None)
def test_one_more_success_on_time_never_lengthens_an_outage(truth: Blackout, where: float, seed: int) -> None:
    probes = stream([truth], seed)
    before = the_one(search(probes))
    at = int(truth.begin + where * truth.length)
    number = int(np.searchsorted(probes.start, at))
    more = Probes(
        np.insert(probes.start, number, at), np.insert(probes.end, number, at + 150_000),
        np.insert(probes.answered, number, True),
    )
    after = search(more).outages
    assert max((one.hi_ns for one in after), default=0) <= before.hi_ns
    assert max((one.lo_ns for one in after), default=0) <= before.lo_ns + CALIBRATION.slow_ns


absences = st.lists(
    st.tuples(st.integers(0, 900 * MS), st.integers(MS // 2, 80 * MS)).map(lambda one: (one[0], one[0] + one[1])),
    max_size=4,
)


@given(absences, st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_a_stopwatch_that_was_away_accuses_nobody(gone: list[tuple[int, int]], seed: int) -> None:
    probes, voids = away(stream([], seed), gone)
    assert search(probes, voids).outages == ()


@given(blackouts, absences, st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_an_absence_widens_the_interval_and_never_shortens_it(
    truth: Blackout, gone: list[tuple[int, int]], seed: int
) -> None:
    probes, voids = away(stream([truth], seed), gone)
    found = search(probes, voids).outages
    assert all(outage.lo_ns <= truth.length for outage in found)
    assert len(found) <= 1
    assert all(outage.hi_ns >= truth.length for outage in found)


def test_what_hides_behind_an_absence_shows_as_the_longest_gap() -> None:
    truth = Blackout(300 * MS, 340 * MS)
    probes, voids = away(stream([truth]), [(290 * MS, 350 * MS)])
    found = search(probes, voids)
    assert found.outages == ()
    assert found.longest_gap_ns >= truth.length


def test_losses_after_a_queue_has_overflowed_belong_to_the_outage_that_filled_it() -> None:
    truth = Blackout(200 * MS, 300 * MS, held=True)
    probes = stream([truth])
    overflow = (probes.start > 240 * MS) & (probes.start < 299 * MS)
    lossy = Probes(probes.start, np.where(overflow, probes.start + SECOND, probes.end), probes.answered & ~overflow)
    outage = the_one(search(lossy))
    assert outage.lo_ns <= truth.length <= outage.hi_ns
    assert outage.lost > 50


def test_slow_answers_that_keep_coming_are_late_and_no_outage() -> None:
    probes = stream([])
    slow = (probes.start > 300 * MS) & (probes.start < 600 * MS)
    end = np.where(slow, probes.end + 10 * MS, probes.end)
    found = search(Probes(probes.start, np.maximum.accumulate(end), probes.answered))
    assert found.late > 290
    assert the_one(found).hi_ns < 13 * MS  # until the first slow answer came, none came


def test_one_answer_that_others_overtake_is_slow_and_no_outage() -> None:
    probes = stream([])
    end = probes.end.copy()
    end[399] -= 40_000
    end[400] += 3 * MS
    end[401] += 150_000
    found = search(Probes(probes.start, end, probes.answered))
    assert (found.outages, found.late) == ((), 1)


def test_one_lost_probe_is_an_outage_of_at_most_two_periods() -> None:
    probes = stream([])
    answered = probes.answered.copy()
    answered[400] = False
    outage = the_one(search(Probes(probes.start, probes.end, answered)))
    assert outage.lo_ns == 0
    assert outage.hi_ns <= 2 * CALIBRATION.period_ns + CALIBRATION.slow_ns


def test_an_outage_that_outlasts_the_observation_is_open() -> None:
    outage = the_one(search(stream([Blackout(800 * MS, 5 * SECOND)])))
    assert outage.open
    assert outage.hi_ns >= 198 * MS


def test_nothing_but_silence_is_one_long_gap() -> None:
    nothing = Probes(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    found = find([nothing], CALIBRATION, Voids.none(), (0, SECOND))
    assert (found.outages, found.longest_gap_ns, found.probes) == ((), SECOND, 0)
