"""Machines of others: told where there were any, never passed when one was harmed or went unseen."""

from __future__ import annotations

import pytest

from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.records import Record

ID = "bystanders.unharmed"
FACTS = {"uid": "u", "node": "node-a", "phase": "Running", "ready": True}


def with_bystanders(record: Record, *, proven: bool = True, harm: str = "") -> Record:
    for name in ("theirs/db", "theirs/web"):
        record.event(0, "bystander", "present", name, **FACTS)
    record.event(60, "bystander", "watched", "all", count=2, proven=proven, harm=harm)
    return record


def test_a_run_without_any_claims_nothing_of_them(record: Record, judged: Judge) -> None:
    assert ID not in {claim.id for claim in judged(record).claims}


def test_unharmed_ones_are_told(record: Record, judged: Judge) -> None:
    (claim,) = (one for one in judged(with_bystanders(record)).claims if one.id == ID)
    assert (claim.verdict, claim.measured) == ("pass", 0)
    assert [part.object for part in claim.parts] == ["machine theirs/db", "machine theirs/web"]


def test_a_harmed_one_is_named_and_leaves_it_open_who_did_it(record: Record, claim_of: ClaimOf) -> None:
    with_bystanders(record, harm="Machine theirs/db was restarted")
    record.event(20, "bystander", "harmed", "theirs/db", what="was restarted", was=FACTS, seen=None)
    claim = claim_of(record, ID)
    assert claim.verdict == "unknown"
    assert "machine theirs/db: was restarted" in claim.reason


@pytest.mark.parametrize(("how", "reason"), [
    ({"proven": False}, "not seen"), ({"harm": "Machine theirs/new has come"}, "has come"),
])
def test_what_went_unseen_does_not_pass(
    record: Record, claim_of: ClaimOf, how: dict[str, bool | str], reason: str
) -> None:
    claim = claim_of(with_bystanders(record, **how), ID)  # type: ignore[arg-type]
    assert claim.verdict == "unknown"
    assert reason in claim.reason


def test_without_its_end_nothing_is_known(record: Record, claim_of: ClaimOf) -> None:
    record.event(0, "bystander", "present", "theirs/db", **FACTS)
    assert claim_of(record, ID).verdict == "unknown"
