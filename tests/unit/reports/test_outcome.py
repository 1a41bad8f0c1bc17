"""The claim about migrations' ends: expected and unexpected ones, those never seen, and the figures beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drainproof.expectation import Expectation
from reports.checks import outcome
from reports.evidence import Evidence
from reports.verdict import Claim, Part, Verdict
from tests.unit.reports.records import NAMESPACE, Record
from tests.unit.reports.stopwatch_records import Watched
from tests.unit.reports.timeline import BASELINE, DRAIN, SETTLE, drain_begin

FAULT = drain_begin(2)
MIB = 2**20
Judge = Callable[[Record], Claim]


@pytest.fixture
def outcome_of(tmp_path: Path) -> Judge:
    """Writes a record and judges this claim of it, without the stopwatch's streams."""

    def judge(record: Record) -> Claim:
        record.watched = Watched()
        return outcome.check(Evidence.of(record.write(tmp_path / "run-1")))

    return judge


def _migrated(record: Record, seconds: float, phase: str = "Succeeded", vm: str = "portal-a", **told: Any) -> None:
    """A migration made by a user: as the watch saw it, and as its maker tells it."""
    vmim, uid = f"made-{seconds}", f"made-uid-{seconds}"
    failed = {"failureReason": "Live migration has been aborted"} if phase == "Failed" else {}
    state = {"mode": "PreCopy", "sourceNode": "node-d", "targetNode": "node-b", "migrationUid": uid, **failed}
    for offset, seen in ((0.0, "Pending"), (0.25, "Scheduling"), (0.75, "Running"), (1.5, phase)):
        record.event(
            seconds + offset, "watch", "vmim", f"{NAMESPACE}/{vmim}", event="MODIFIED", name=vmim, uid=uid, vmi=vm,
            phase=seen, transitions={}, migration=state,
        )
    figures = {"total_ms": 1400, "downtime_ms": 61, "iterations": 3, "data_processed_bytes": 96 * MIB} | told
    record.event(
        seconds + 1.6, "migrate", "outcome", vm, vm=vm, vmim=vmim, uid=uid, phase=phase, mode="PreCopy",
        phases={"Pending": 1.0}, failure=failed.get("failureReason", ""), **figures,
        **{"from": "node-d", "to": "node-b"},
    )


def _expecting(record: Record, ends: str, vm: str = "portal-a") -> None:
    """The last drain becomes a fault that has to move a machine."""
    for event in record.found("run", "phase"):
        if event["data"]["phase"] == "drain/3":
            event["data"]["phase"] = "fault/3"
    expects = Expectation(moved={vm: ends}).as_json()
    record.event(FAULT + 0.1, "fault", "begin", "migration/3", fault="migration", target=vm, expects=expects)
    record.event(FAULT + 4.5, "fault", "proof", "migration/3", happened=True, healed=True, reasons=[])


def _part(claim: Claim, starts: str) -> Part:
    return next(part for part in claim.parts if part.object.startswith(starts))


def test_migrations_of_drains_have_to_succeed(record: Record, outcome_of: Judge) -> None:
    """Three of three did; nobody may conclude from three that none ever fails."""
    claim = outcome_of(record)
    assert claim.verdict is Verdict.PASS, claim.reason
    assert "0 of 3 failed that had to succeed, so at most 63.2% do" in claim.reason
    part = _part(claim, "portal-b / evacuation-portal-b")
    assert part.facts["scheduling_s"] == pytest.approx(0.4)
    assert part.facts["downtime_ms"] == 153
    assert part.facts["http-new_gap_s"] == pytest.approx(0.5, abs=0.15)


def test_the_makers_figures_stand_beside_the_phases(record: Record, outcome_of: Judge) -> None:
    """Data moved, iterations and rates, each with its unit; what was not told is not invented."""
    _migrated(record, FAULT + 0.5, throttle_percent=40, dirty_rate_bytes=None)
    facts = _part(outcome_of(record), "portal-a / made-").facts
    assert (facts["moved_mib"], facts["iterations"], facts["throttled_percent"]) == (96, 3, 40)
    assert (facts["pending_s"], facts["scheduling_s"], facts["running_s"]) == (0.25, 0.5, 0.75)
    assert (facts["total_s"], facts["downtime_ms"]) == (1.4, 61)
    assert "dirtied_mib_per_s" not in facts


def test_an_unexpected_failure_fails(record: Record, outcome_of: Judge) -> None:
    """With the platform's own reason."""
    _migrated(record, FAULT + 0.5, "Failed")
    claim = outcome_of(record)
    assert (claim.verdict, claim.measured) == (Verdict.FAIL, 1)
    assert "the migration node-d to node-b failed: Live migration has been aborted" in claim.reason
    assert "1 of 4 failed that had to succeed" in claim.detection


def test_an_expected_failure_passes_and_is_no_trial(record: Record, outcome_of: Judge) -> None:
    """A cancelled migration says nothing about how often migrations fail."""
    _expecting(record, "Failed")
    _migrated(record, FAULT + 0.5, "Failed")
    claim = outcome_of(record)
    assert claim.verdict is Verdict.PASS, claim.reason
    assert "4 migrations ended as expected, 1 of them failed as they had to" in claim.reason
    assert "0 of 3 failed that had to succeed" in claim.reason


def test_an_expected_failure_that_succeeds_fails(record: Record, outcome_of: Judge) -> None:
    """The target should have refused."""
    _expecting(record, "Failed")
    _migrated(record, FAULT + 0.5)
    claim = outcome_of(record)
    assert claim.verdict is Verdict.FAIL
    assert "node-d to node-b was expected to fail, and succeeded" in claim.reason


def test_a_migration_that_never_ended_is_unknown(record: Record, outcome_of: Judge) -> None:
    """Neither the watch nor its maker saw an end."""
    ended = ("portal-b", "Succeeded")
    record.drop("watch", "vmim", lambda event: (event["data"]["vmi"], event["data"]["phase"]) == ended)
    claim = outcome_of(record)
    assert claim.verdict is Verdict.UNKNOWN
    assert "how the migration node-b to node-a ended is not known: it was last seen in phase Running" in claim.reason


def test_an_expected_migration_that_nobody_saw_is_unknown(record: Record, outcome_of: Judge) -> None:
    """A fault that had to move a machine, and a record without a migration of it then."""
    _expecting(record, "Succeeded", "portal-b")
    claim = outcome_of(record)
    assert claim.verdict is Verdict.UNKNOWN
    assert "portal-b: fault/3 had to migrate it, and no migration of it was seen" in claim.reason


def test_an_outcome_counts_where_the_watch_was_blind(record: Record, outcome_of: Judge) -> None:
    """What its maker saw is evidence too, with phases in whole seconds."""
    _migrated(record, FAULT + 0.5)
    record.drop("watch", "vmim", lambda event: event["data"]["name"].startswith("made-"))
    part = _part(outcome_of(record), "portal-a / made-")
    assert part.verdict is Verdict.PASS
    assert part.facts["pending_s"] == 1.0


def test_first_and_later_migrations_stand_apart(record: Record, outcome_of: Judge) -> None:
    """A guest that moves for the first time is colder."""
    _migrated(record, FAULT + 0.5)
    claim = outcome_of(record)
    assert _part(claim, "first migrations").facts["migrations"] == 3
    later = _part(claim, "later migrations")
    assert (later.facts["migrations"], later.facts["downtime_ms"]) == (1, 61)


def test_it_applies_where_a_migration_was_seen_or_expected(record: Record, tmp_path: Path) -> None:
    """And nowhere else: a run that only cuts networks has nothing to say here."""
    record.watched = Watched()
    for source, kind in (("watch", "vmim"), ("drain", "migrated")):
        record.drop(source, kind)
    assert not outcome.applies(Evidence.of(record.write(tmp_path / "without")))
    _expecting(record, "Succeeded")
    assert outcome.applies(Evidence.of(record.write(tmp_path / "with")))
    assert BASELINE + 2 * (DRAIN + SETTLE) == FAULT
