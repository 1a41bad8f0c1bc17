"""Figures of migrations: what a pause that is known makes of the samples around it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.instrument.blackouts import MS
from bench.instrument.moves import Move, Pause, first_answered, first_frame, lag, overlapping, spread
from drainproof.record import Outcome, Samples
from reports.outages.outage import Outage

PAUSE = Pause(10_000 * MS, 10_050 * MS)
BEHIND_NS = 3_000_000 * MS
"""How far apart the two clocks are before anything happens."""


def samples(start: list[float], end: list[float], outcome: list[Outcome], key: list[int] | None = None) -> Samples:
    sent, came = (np.array([round(value * MS) for value in column], np.int64) for column in (start, end))
    keys = np.array(key or [0] * len(start), np.int64)
    return Samples("udp/vm", sent, sent, came, np.array(outcome, np.int8), keys)


def ticks(arrivals_ms: list[float], guest_ms: list[float]) -> Samples:
    """Ticks by when they arrived and the guest's clock in each, as it would have been without any pause."""
    keys = [round(value * MS) - BEHIND_NS for value in guest_ms]
    return samples(arrivals_ms, arrivals_ms, [Outcome.OK] * len(arrivals_ms), keys)


def outage(begin_ms: float, end_ms: float, frozen_ms: float | None = None) -> Outage:
    begin, end = round(begin_ms * MS), round(end_ms * MS)
    frozen = None if frozen_ms is None else round(frozen_ms * MS)
    return Outage(begin - MS, begin, end, end + MS, end - begin, frozen_ns=frozen)


def test_the_guests_clock_tells_the_pause_although_the_ticks_around_it_waited() -> None:
    """The last tick before came 3 ms late, the first after 40 ms late; the quickest ones waited for nothing."""
    before = [9_800.0 + 10 * number for number in range(20)]
    after = [10_100.0 + 10 * number for number in range(20)]
    arrivals = [*before[:-1], before[-1] + 3, after[0] + 40, *after[1:]]
    found = lag(ticks(sorted(arrivals), sorted([*before, *(value - 50 for value in after)])), PAUSE)
    assert found == 50 * MS


def test_too_few_ticks_tell_nothing() -> None:
    assert lag(ticks([9_990.0, 10_060.0], [9_990.0, 10_010.0]), PAUSE) is None


def test_the_longest_outage_around_a_pause_is_the_pauses() -> None:
    short, long, elsewhere = outage(9_995, 9_999), outage(10_000, 10_070), outage(11_000, 12_000)
    assert overlapping([elsewhere], PAUSE) is None
    assert overlapping([short, long, elsewhere], PAUSE) is long


@pytest.mark.parametrize(("seen", "explained"), [(outage(0, 47), True), (outage(0, 45.9), False), (None, False)])
def test_a_blackout_more_than_2_ms_shorter_than_the_pause_or_none_at_all_does_not_explain_it(
    seen: Outage | None, explained: bool
) -> None:
    """The upper bound counts, which is 2 ms above the length here."""
    assert Move(PAUSE, seen, None, None, None, None).explained is explained


def test_differences_to_the_pause_have_a_sign() -> None:
    move = Move(PAUSE, outage(0, 49), outage(0, 60, frozen_ms=80), PAUSE.resume_ns - MS, PAUSE.resume_ns + MS, 53 * MS)
    assert (move.beyond_ns, move.guest_error_ns, move.single_error_ns) == (-MS, 3 * MS, 30 * MS)
    assert (move.network_ns, move.silent_ns) == (-MS, MS)


def test_what_was_never_answered_is_neither_a_frame_nor_reached_the_guest() -> None:
    echo = samples([1, 2, 3, 4], [9, 1002, 12, 8], [Outcome.OK, Outcome.TIMEOUT, Outcome.LATE, Outcome.OK])
    assert first_answered(echo, 1 * MS) == 3 * MS
    assert first_frame([echo], 8 * MS) == 9 * MS
    assert first_frame([echo], 12 * MS) is None
    assert first_answered(echo, 4 * MS) is None


def test_figures_are_told_of_those_that_are_known() -> None:
    assert spread([3 * MS, None, MS, 2 * MS]) == "median 2.00, 1.00 to 3.00 ms of 3"
    assert spread([None]) == "none is known"
