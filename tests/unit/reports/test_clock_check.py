"""The clients' clock: a claim only where another clock was told, and never more than was measured."""

from __future__ import annotations

from typing import Any

import pytest

from reports.checks import clocks
from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.records import Record

Told = tuple[str, str, dict[str, Any]]


def offset(**changes: Any) -> Told:
    """How far a pod's clock lies from the harness', as the harness found it."""
    found = {"offset_ns": -7 * 10**9, "uncertainty_ns": 4_000_000, "one_clock": False, "trouble": "", **changes}
    return "clock", "offset", found


BEGIN: Told = ("clients", "begin", {"node": "node-x"})
LOST: Told = ("clients", "lost", {"reason": "broken off"})


def with_clients(record: Record, *told: Told) -> Record:
    for source, kind, data in told:
        record.event(1, source, kind, "clients-0", **data)
    return record


def test_a_record_of_clients_on_this_host_has_no_such_claim(judged: Judge, record: Record) -> None:
    assert clocks.ID not in {claim.id for claim in judged(record).claims}


def test_a_clock_that_is_known_well_enough_passes_with_how_well(judged: Judge, record: Record) -> None:
    verdict = judged(with_clients(record, BEGIN, offset()))
    assert str(verdict.verdict) == "pass"
    (claim,) = (one for one in verdict.claims if one.id == clocks.ID)
    assert claim.measured == pytest.approx(0.004)
    assert "4.0 ms" in claim.reason


@pytest.mark.parametrize(("told", "reason"), [
    ((BEGIN,), "never told"),
    ((BEGIN, offset(uncertainty_ns=80_000_000)), "80.0 ms either way, more than 50 ms"),
    ((BEGIN, offset(trouble="the pod is gone")), "not asked again at the end: the pod is gone"),
    ((BEGIN, offset(uncertainty_ns=None)), "is not told"),
    ((BEGIN, offset(uncertainty_ns=-1)), "is not told"),
    ((BEGIN, offset(), LOST), "was lost: broken off"),
    ((BEGIN, offset(), offset(uncertainty_ns=60_000_000)), "60.0 ms either way"),
])
def test_what_is_not_known_is_unknown_with_the_reason(
    claim_of: ClaimOf, record: Record, told: tuple[Told, ...], reason: str
) -> None:
    claim = claim_of(with_clients(record, *told), clocks.ID)
    assert str(claim.verdict) == "unknown"
    assert reason in claim.reason
