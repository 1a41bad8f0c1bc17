"""Migrations that faults make are planned: nobody may notice them, and each has to end as its fault says."""

from __future__ import annotations

import pytest

from drainproof.expectation import Expectation
from reports.verdict import Claim, Verdict
from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.records import HOMES, NAMESPACE, Record, good_record
from tests.unit.reports.timeline import DRAIN, VMS, drain_begin

LIVE = "migration.live"


def migrated_record() -> Record:
    """The good record, but each machine was migrated by name, and no node was drained."""
    record = good_record()
    for event in record.found("run", "phase"):
        event["data"]["phase"] = event["data"]["phase"].replace("drain/", "fault/")
    record.events = [event for event in record.events if event["source"] != "drain"]
    for index, vm in enumerate(VMS):
        begin, name, facts = drain_begin(index), f"migrate/{index + 1}", {"fault": "migrate", "target": vm}
        expects = Expectation(moved={vm: "Succeeded"}).as_json()
        record.event(begin + 0.05, "fault", "begin", name, **facts, expects=expects)
        record.event(begin + 0.1, "fault", "injected", name, **facts)
        record.event(begin + 4, "fault", "healed", name, **facts)
        record.event(begin + 4.1, "fault", "proof", name, **facts, happened=True, healed=True, reasons=[])
    return record


def cancel_last(record: Record) -> None:
    """The migration of portal-c was meant to be cancelled and was."""
    begun = record.found("fault", "begin")[2]["data"]
    begun["expects"] = Expectation(moved={"portal-c": "Failed"}).as_json()
    record.drop("hypervisor", "downtime", lambda event: event["object"] == "portal-c")
    for event in record.found("watch", "vmim"):
        if event["data"]["vmi"] == "portal-c" and event["data"]["phase"] == "Succeeded":
            event["data"]["phase"] = "Failed"
    for event in record.found("watch", "vmi"):
        if event["object"] == f"{NAMESPACE}/portal-c":
            event["data"]["node"] = HOMES["portal-c"][0]


@pytest.fixture
def record() -> Record:
    """Three migrations by name, to be spoiled."""
    return migrated_record()


def test_migrations_by_name_pass(record: Record, judged: Judge) -> None:
    """Migrations that faults made pass the same claims as those of drains, and each fault proves itself."""
    verdict = judged(record)
    assert [(claim.id, claim.verdict, claim.reason) for claim in verdict.claims if claim.verdict != "pass"] == []
    claims = {claim.id for claim in verdict.claims}
    assert {"faults.proved", LIVE, "migration.outcome", "hypervisor.downtime", "downtime.phases"} <= claims


def test_cancelled_migration_passes(record: Record, judged: Judge) -> None:
    """A migration that was cancelled on purpose breaks nothing: the machine stayed where it was, in the same boot."""
    cancel_last(record)
    verdict = judged(record)
    assert [(claim.id, claim.verdict, claim.reason) for claim in verdict.claims if claim.verdict != "pass"] == []


def test_migration_that_was_not_meant_to_fail_fails(record: Record, claim_of: ClaimOf) -> None:
    """A machine that a fault had to move and that stayed is not certified, and its migration fails the claim on it."""
    cancel_last(record)
    record.found("fault", "begin")[2]["data"]["expects"] = Expectation(moved={"portal-c": "Succeeded"}).as_json()
    claim = claim_of(record, LIVE)
    assert (claim.verdict, claim.reason) == (Verdict.UNKNOWN, "portal-c: no migration of it succeeded")
    assert claim_of(record, "migration.outcome").verdict is Verdict.FAIL


def test_guest_s_identity_is_needed_around_each_fault(record: Record, claim_of: ClaimOf) -> None:
    """Without a boot id read between two faults nobody knows in which one a guest restarted."""
    low, high = (round((1000 + second) * 1e9) for second in (drain_begin(0) + DRAIN, drain_begin(1)))
    record.drop("witness", "identity", lambda event: low <= event["t_ns"] <= high)
    claim = claim_of(record, LIVE)
    assert claim.verdict is Verdict.UNKNOWN
    assert "was not read between fault/1 and fault/2" in claim.reason


def _at_once(record: Record, seconds: float) -> None:
    """Portal-b was migrated while portal-a was, without one fault that moves both."""
    shift = round((drain_begin(1) - drain_begin(0) - seconds) * 1e9)
    for event in record.found("watch", "vmim"):
        if event["data"]["vmi"] == "portal-b":
            event["t_ns"] -= shift
    for event in record.found("hypervisor", "downtime"):
        if event["object"] == "portal-b":
            event["data"] |= {name: event["data"][name] - shift for name in ("stop_ns", "resume_ns")}


def _pair(claim: Claim) -> tuple[Verdict, str]:
    part = next(part for part in claim.parts if part.object == "portal-a, portal-b")
    return part.verdict, part.reason


def test_two_that_moved_at_once_need_their_pauses(record: Record, claim_of: ClaimOf) -> None:
    """Whether two paused at one moment is unknown if nobody saw when one of them did."""
    _at_once(record, 1.0)
    assert _pair(claim_of(record, "quorum.margin"))[0] is Verdict.PASS
    for event in record.found("hypervisor", "downtime"):
        if event["object"] == "portal-b":
            event["data"]["resume_ns"] = None
    verdict, reason = _pair(claim_of(record, "quorum.margin"))
    assert verdict is Verdict.UNKNOWN
    assert reason.endswith("and when the guest paused in evacuation-portal-b is not recorded")


def test_two_that_moved_one_after_the_other_need_none(record: Record, claim_of: ClaimOf) -> None:
    """Migrations that do not overlap cannot pause at one moment."""
    record.drop("hypervisor", "downtime")
    assert _pair(claim_of(record, "quorum.margin"))[0] is Verdict.PASS


def test_two_that_were_moved_at_once_may_pause_at_once(record: Record, claim_of: ClaimOf) -> None:
    """Pauses at one moment count against the margin unless one fault moved both."""
    pauses = record.found("hypervisor", "downtime")
    pauses[1]["data"] |= {name: pauses[0]["data"][name] for name in ("stop_ns", "resume_ns")}
    assert "both away" in claim_of(record, "quorum.margin").reason
    expects = Expectation(moved=dict.fromkeys(VMS[:2], "Succeeded")).as_json()
    record.found("fault", "begin")[0]["data"]["expects"] = expects
    assert "both away" not in claim_of(record, "quorum.margin").reason
