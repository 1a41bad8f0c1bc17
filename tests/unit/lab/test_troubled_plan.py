"""The plan of the troubled proxy: the same for the same seed, of the kinds and the share that were asked for."""

from __future__ import annotations

import pytest

from lab.troubled.plan import KINDS, LONGEST_DELAY_SECONDS, Plan, Trouble

MANY = 4000


def drawn(plan: Plan, *, watch: bool = False) -> list[Trouble]:
    found = (plan.trouble(number, watch=watch) for number in range(MANY))
    return [trouble for trouble in found if trouble]


def test_a_seed_makes_the_same_trouble_again() -> None:
    """Request by request, whatever was asked before; another seed makes other trouble."""
    plan = Plan(7, 0.3)
    assert drawn(plan) == drawn(Plan(7, 0.3))
    assert plan.trouble(99, watch=False) == Plan(7, 0.3).trouble(99, watch=False)
    assert drawn(plan) != drawn(Plan(8, 0.3))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_as_many_requests_meet_trouble_as_were_asked_for(rate: float) -> None:
    assert len(drawn(Plan(1, rate))) / MANY == pytest.approx(rate, abs=0.03)


def test_watches_meet_what_watches_can() -> None:
    """Between them, watches and other requests meet every kind."""
    watches, others = ({one.kind for one in drawn(Plan(1, 0.5), watch=watch)} for watch in (True, False))
    assert watches | others == set(KINDS)
    assert {"watch-cut", "watch-expired"} <= watches
    assert not {"watch-cut", "watch-expired"} & others
    assert not {"outage", "error-after", "cut"} & watches


def test_only_what_was_asked_for_is_made() -> None:
    assert {one.kind for one in drawn(Plan(1, 0.5, ("busy", "watch-cut")))} == {"busy"}
    assert drawn(Plan(1, 1.0, ("watch-cut",))) == []


def test_trouble_says_what_it_is() -> None:
    """Codes of servers in trouble; delays and outages within their bounds."""
    found = drawn(Plan(2, 1.0))
    assert {one.code for one in found if one.kind in ("error", "error-after")} == {500, 502, 503, 504}
    assert {one.code for one in found if one.kind == "busy"} == {429}
    assert 0 < max(one.seconds for one in found if one.kind == "delay") <= LONGEST_DELAY_SECONDS
    assert all(1 <= one.seconds <= 12 for one in found if one.kind == "outage")
