"""Found outages are given to the blackouts they show, and the scores say what was right."""

from __future__ import annotations

import random
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import fmean

import pytest

from bench.instrument.blackouts import MS, Blackout, Mode, Truth, as_line, from_line, log_uniform, read_truth, spread
from bench.instrument.matching import Found, Score, match


def truth(begin_ms: float, end_ms: float, mode: Mode = "drop", blur_ms: float = 0.0, drained_ms: float = 0.0) -> Truth:
    begin, end, blur = round(begin_ms * MS), round(end_ms * MS), round(blur_ms * MS)
    return Truth(mode, begin - blur, begin, end, end + blur, drained_ns=round(drained_ms * MS))


def found(begin_ms: float, end_ms: float, lo_ms: float, mid_ms: float, hi_ms: float, *, stalled: bool = False) -> Found:
    begin, end, lo, mid, hi = (round(value * MS) for value in (begin_ms, end_ms, lo_ms, mid_ms, hi_ms))
    return Found(begin, end, lo, mid, hi, stalled)


def test_a_blackout_gets_the_outage_that_shares_most_time_with_it() -> None:
    """Of two outages within one blackout the longer is its pair, the other a piece and not false."""
    score = match([found(100, 101, 0, 1, 1), found(101, 121, 18, 19, 20)], [truth(100, 120)])
    assert [pair.found.mid_ns for pair in score.pairs] == [19 * MS]
    assert len(score.pieces) == 1
    assert score.false == []


def test_what_no_blackout_explains_is_false_and_what_is_not_found_is_missed() -> None:
    score = match([found(500, 510, 9, 10, 11)], [truth(100, 120)])
    assert (len(score.false), len(score.missed), score.detection, score.coverage) == (1, 1, 0.0, 0.0)


def test_an_outage_where_the_wire_itself_stood_still_is_not_false() -> None:
    score = match([found(500, 510, 9, 10, 11)], [], [(505 * MS, 507 * MS)])
    assert (len(score.false), len(score.unplanned)) == (0, 1)


def test_what_is_found_while_the_queue_drains_is_no_blackout_of_its_own() -> None:
    """Nor does it stand for a blackout that was not found."""
    score = match([found(125, 128, 2, 3, 4)], [truth(100, 120, "hold", drained_ms=126)])
    assert (len(score.pieces), len(score.missed), len(score.false)) == (1, 1, 0)


@pytest.mark.parametrize(("lo", "hi", "holds"), [(19.5, 20.5, True), (20.1, 21, False), (18, 19.9, False)])
def test_the_interval_holds_the_truth_or_not(lo: float, hi: float, holds: bool) -> None:
    (pair,) = match([found(100, 121, lo, 20, hi)], [truth(100, 120)]).pairs
    assert pair.holds is holds


def test_a_blurred_truth_is_held_when_the_intervals_touch_and_gives_no_error() -> None:
    score = match([found(100, 121, 20.1, 20.5, 21)], [truth(100, 120, blur_ms=0.2)])
    assert score.coverage == 1
    assert score.blurred == 1
    assert score.errors_ns() == []


def test_errors_are_taken_only_where_the_client_was_awake() -> None:
    truths = [truth(100, 120), truth(300, 320, "hold"), truth(500, 520)]
    seen = [found(100, 121, 19, 20.5, 21), found(300, 320, 19, 19.7, 21), found(500, 521, 10, 15, 21, stalled=True)]
    score = match(seen, truths)
    assert score.worst_ns == round(0.5 * MS)
    assert score.bias_ns == pytest.approx(0.1 * MS)
    assert score.of("hold").errors_ns() == [round(-0.3 * MS)]


def test_a_blackout_counts_from_a_length_on_when_it_certainly_lasted_so_long() -> None:
    """A blurred truth that may have been shorter than the limit of the instrument proves nothing about it."""
    score = match([], [truth(100, 104), truth(300, 320), truth(500, 505, blur_ms=0.5)])
    assert [missed.length_ns for missed in score.since(5 * MS).missed] == [20 * MS, 5.5 * MS]
    assert [missed.length_ns for missed in score.since(6 * MS).missed] == [20 * MS]
    assert score.since(21 * MS).blackouts == 0


def test_scores_add_up() -> None:
    one, other = match([], [truth(100, 120)]), match([found(100, 120, 19, 20, 21)], [truth(100, 120)])
    assert Score.sum([one, other]).detection == 0.5


def test_lengths_are_spread_evenly_over_the_orders_of_magnitude() -> None:
    chance = random.Random(1)
    drawn = [log_uniform(chance, 2, 2000) for _ in range(4000)]
    assert 2 * MS <= min(drawn) <= max(drawn) <= 2000 * MS
    assert fmean(log(length / MS) for length in drawn) == pytest.approx((log(2) + log(2000)) / 2, abs=0.15)
    assert len({length % MS for length in drawn}) > 3900, "whole milliseconds would flatter the result"


def test_blackouts_keep_their_distance_and_survive_the_line() -> None:
    planned = spread(random.Random(2), [5 * MS, 7 * MS, 9 * MS], 1000 * MS, (150, 300))
    assert [one.length_ns for one in planned] == [5 * MS, 7 * MS, 9 * MS]
    assert planned[0].begin_ns >= 1150 * MS
    assert all(150 * MS <= later.begin_ns - one.end_ns <= 300 * MS for one, later in pairwise(planned))
    assert from_line(as_line(reversed(planned))) == planned


def test_a_truth_that_is_not_written_yet_is_empty(tmp_path: Path) -> None:
    assert read_truth(tmp_path / "none") == []
    assert Blackout(1, 3, "drop").length_ns == 2
