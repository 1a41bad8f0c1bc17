"""The claims about a disk are seen to pass, to fail and to be unknown, each for its own reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reports.verdict import Verdict
from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.records import Record
from tests.unit.reports.storage_records import (
    ANOTHER_BOOT,
    BASELINE,
    BEGUN,
    DONE,
    END,
    NETWORK_US,
    PERIOD,
    VM,
    disk_record,
    hold,
    number_at,
    restored_record,
    rows,
    verified,
)
from tests.unit.reports.timeline import at

CONTINUITY, DURABILITY, OPERATIONS = "storage.continuity", "storage.durability", "storage.operations"
PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
Spoil = Callable[[Record], None]


def read_again(**changes: Any) -> Spoil:
    """What was read back is something else."""
    return lambda record: record.found("io-ledger", "verified")[-1]["data"].update(changes)


def states(**found: list[list[int]]) -> Spoil:
    return read_again(states=found, count=1 + max(last for one in found.values() for _, last in one))


def told(source: str, kind: str, **changes: Any) -> Spoil:
    return lambda record: record.found(source, kind)[-1]["data"].update(changes)


def gone(source: str, kind: str) -> Spoil:
    return lambda record: record.drop(source, kind)


def refuse(record: Record) -> None:
    record.found("io-ledger", "writes")[0]["data"]["refused"] = {"40": 5, "41": 5}
    told("io-ledger", "end", acknowledged=len(rows(record)["seq"]) - 2)(record)


def skip_a_write(record: Record) -> None:
    for column in rows(record).values():
        del column[30]


def stop_early(record: Record) -> None:
    """The ledger ends, in order, before the disturbance does."""
    kept = number_at(DONE) + 1
    for column in rows(record).values():
        del column[kept:]
    told("io-ledger", "end", next=kept, acknowledged=kept)(record)
    record.found("io-ledger", "end")[0]["t_ns"] = at(DONE)
    record.found("io-ledger", "writes")[0]["t_ns"] = at(DONE)
    record.drop("io-ledger", "verified")
    verified(record, END + 1, last=kept - 1)


def test_a_good_record_certifies(judged: Judge) -> None:
    """Only what is about disks is claimed, and all of it passes."""
    verdict = judged(disk_record())
    assert {claim.id: str(claim.verdict) for claim in verdict.claims} == dict.fromkeys(
        ("faults.proved", CONTINUITY, DURABILITY, OPERATIONS, "cluster.restored", "record.intact"), "pass"
    )


def test_a_restored_machine_certifies(judged: Judge) -> None:
    """It boots anew because of the restore, and lacks what came after the snapshot, as it must."""
    verdict = judged(restored_record())
    assert [str(claim.verdict) for claim in verdict.claims] == ["pass"] * len(verdict.claims)


@pytest.mark.parametrize(
    ("claim", "spoil", "verdict", "reason"),
    [
        (CONTINUITY, lambda record: hold(record, BEGUN, 1.5), PASS, "never longer than 1."),
        (CONTINUITY, lambda record: hold(record, BEGUN, 3.0), FAIL, "the disk held a write for"),
        (CONTINUITY, lambda record: hold(record, 2.0, 3.0), FAIL, "baseline: the disk held a write for"),
        (CONTINUITY, lambda record: hold(record, BEGUN, 3.0, by="guest"), UNKNOWN, "the guest's own"),
        (CONTINUITY, lambda record: hold(record, BEGUN, 3.0, by="network"), UNKNOWN, "or its network's"),
        (CONTINUITY, refuse, FAIL, "refused 2 writes (error 5): 40-41"),
        (CONTINUITY, read_again(writable=False), FAIL, "read-only"),
        (CONTINUITY, read_again(boot_id=ANOTHER_BOOT), FAIL, "the guest restarted"),
        (CONTINUITY, gone("io-ledger", "begin"), UNKNOWN, "no guest ever wrote"),
        (CONTINUITY, gone("io-ledger", "end"), UNKNOWN, "never ended"),
        (CONTINUITY, told("io-ledger", "end", orderly=False, reason="no bench"), UNKNOWN, "broke off: no bench"),
        (CONTINUITY, told("io-ledger", "end", acknowledged=9999), UNKNOWN, "9999 writes were acknowledged"),
        (CONTINUITY, told("io-ledger", "end", next=9999), UNKNOWN, "before write 9999"),
        (CONTINUITY, told("io-ledger", "writes", us={"seq": [1]}), UNKNOWN, "cannot be read"),
        (CONTINUITY, skip_a_write, UNKNOWN, "not numbered one after the other"),
        (CONTINUITY, stop_early, UNKNOWN, "nothing was written from"),
        (DURABILITY, states(present=[[0, 69], [71, 200]], missing=[[70, 70]]), FAIL, "1 missing): 70"),
        (DURABILITY, states(present=[[0, 9], [12, 200]], torn=[[10, 10]], stale=[[11, 11]]), FAIL, "1 stale, 1 torn"),
        (DURABILITY, states(unreadable=[[0, 200]]), FAIL, "unreadable"),
        (DURABILITY, states(present=[[0, 20]]), UNKNOWN, "was not read back"),
        (DURABILITY, states(present=[[0, 20], [20, 200]]), UNKNOWN, "told twice"),
        (DURABILITY, states(present=[[0, 20], [22, 200]]), UNKNOWN, "are told"),
        (DURABILITY, read_again(nonce="fedcba9876543210"), UNKNOWN, "is not the ledger"),
        (DURABILITY, read_again(writable="yes"), PASS, "accounted for"),
        (DURABILITY, gone("io-ledger", "verified"), UNKNOWN, "not read back after its last write"),
        (DURABILITY, gone("io-ledger", "end"), UNKNOWN, "never ended"),
        (DURABILITY, stop_early, PASS, "accounted for"),
        (OPERATIONS, told("fault", "injected", ready_ns=at(BEGUN + 61)), FAIL, "took 61.0 s; 60 s allowed"),
        (OPERATIONS, told("fault", "injected", ready_ns=None), UNKNOWN, "does not tell how long"),
        (OPERATIONS, gone("fault", "injected"), UNKNOWN, "does not tell how long"),
    ],
)
def test_a_spoiled_record(claim_of: ClaimOf, claim: str, spoil: Spoil, verdict: Verdict, reason: str) -> None:
    """Each spoils one thing, and the claim says which."""
    record = disk_record()
    spoil(record)
    found = claim_of(record, claim)
    assert (found.verdict, reason in found.reason) == (verdict, True), found.reason


def test_a_write_that_was_never_acknowledged_may_be_lost(claim_of: ClaimOf) -> None:
    """What the disk refused need not be there, and what it holds beyond the last acknowledgement does no harm."""
    record = disk_record()
    refuse(record)
    states(present=[[0, 39], [42, 400]], torn=[[40, 41]])(record)
    assert claim_of(record, DURABILITY).verdict is PASS


def test_a_reading_before_the_last_write_is_not_enough(claim_of: ClaimOf) -> None:
    """What was acknowledged after it is not known to be there."""
    record = disk_record()
    record.drop("io-ledger", "verified")
    verified(record, END - 2, last=number_at(END - 2))
    found = claim_of(record, DURABILITY)
    assert (found.verdict, found.measured) == (UNKNOWN, 0)


def paused(seconds: float) -> Record:
    """The server stood still from the request on, for so long."""
    record = disk_record("storage-pause")
    record.found("fault", "injected")[0]["t_ns"] = at(BEGUN + 0.2)
    record.found("fault", "healed")[0]["data"] |= {"ordered_ns": at(BEGUN + seconds), "lasted": True}
    return record


def test_a_server_that_stands_still_may_hold_writes_for_so_long(claim_of: ClaimOf) -> None:
    """The limit is its pause and the time to recover; what is longer is the storage's own."""
    record = paused(1.2)
    record.settings["limits"]["io_recovery_seconds"] = 1.0
    hold(record, BEGUN, 2.1)
    assert claim_of(record, CONTINUITY).verdict is PASS
    hold(record, BEGUN, 3.0)
    found = claim_of(record, CONTINUITY)
    assert (found.verdict, "1.3 s of its server's pause and 1 s" in found.reason) == (FAIL, True), found.reason


def test_a_pause_that_no_write_felt_proves_nothing(claim_of: ClaimOf) -> None:
    """Another server, or a cache, answered for it."""
    found = claim_of(paused(1.2), CONTINUITY)
    assert (found.verdict, "does not serve this disk" in found.reason) == (UNKNOWN, True)


def test_a_failover_is_given_its_own_limit(claim_of: ClaimOf) -> None:
    """Whatever its command took, the writes have to go on within the recovery limit."""
    record = disk_record("storage-failover")
    record.settings["limits"]["io_recovery_seconds"] = 3.0
    hold(record, BEGUN, 2.5)
    assert claim_of(record, CONTINUITY).verdict is PASS
    hold(record, BEGUN, 4.0)
    assert claim_of(record, CONTINUITY).verdict is FAIL


@pytest.mark.parametrize(
    ("change", "verdict", "reason"),
    [
        ({"present": [[0, 50]], "missing": [[51, 400]]}, FAIL, "acknowledged writes are lost"),
        ({"present": [[0, 400]]}, FAIL, "that came after the snapshot it was restored from"),
    ],
)
def test_a_restore_has_all_before_its_snapshot_and_nothing_after(
    claim_of: ClaimOf, change: dict[str, list[list[int]]], verdict: Verdict, reason: str
) -> None:
    """One that loses too much is as wrong as one that does nothing."""
    record = restored_record()
    record.found("io-ledger", "verified")[0]["data"] |= {"states": change, "count": 401}
    found = claim_of(record, DURABILITY)
    assert (found.verdict, reason in found.reason) == (verdict, True), found.reason


def test_a_restore_of_which_nothing_could_be_lost_proves_nothing(claim_of: ClaimOf) -> None:
    """Without a write after the snapshot, one that did nothing looks the same."""
    record = restored_record()
    record.found("fault", "injected")[0]["data"]["ready_ns"] = at(END)
    found = claim_of(record, DURABILITY)
    assert (found.verdict, "a restore that did nothing looks the same" in found.reason) == (UNKNOWN, True)


def test_a_restore_of_an_unknown_snapshot_is_not_judged(claim_of: ClaimOf) -> None:
    """What it had to hold is not known."""
    record = restored_record()
    record.found("fault", "injected")[0]["data"]["snapshot"] = "another"
    found = claim_of(record, DURABILITY)
    assert (found.verdict, "does not tell of the snapshot" in found.reason) == (UNKNOWN, True)


def cloned() -> Record:
    """The machine was cloned, and the clone's disk was read."""
    moments = {"requested_ns": at(BEGUN), "cloned_ns": at(BEGUN + 1), "answered_ns": at(DONE)}
    mac = {VM: "02:00:00:00:00:01", "copy": "02:00:00:00:00:02"}
    record = disk_record("clone", clone="copy", mac=mac, **moments)
    verified(record, DONE + 0.1, last=number_at(BEGUN), vm="copy", boot_id=ANOTHER_BOOT, source=VM)
    record.events.sort(key=lambda event: event["t_ns"])
    return record


def test_a_clone_has_what_was_acknowledged_before_it_was_asked_for(claim_of: ClaimOf) -> None:
    """Of what came later it may have some; its own boot is none of the original's."""
    record = cloned()
    for claim in (CONTINUITY, DURABILITY, OPERATIONS):
        assert claim_of(record, claim).verdict is PASS
    last = number_at(BEGUN)
    lacking = {"present": [[0, last - 1]], "missing": [[last, last + 4]]}
    record.found("io-ledger", "verified")[0]["data"]["states"] = lacking
    assert claim_of(record, DURABILITY).verdict is FAIL


@pytest.mark.parametrize(
    ("mac", "verdict", "reason"),
    [
        ({VM: "02:00:00:00:00:01", "copy": "02:00:00:00:00:01"}, FAIL, "has the MAC of its original"),
        ({VM: "02:00:00:00:00:01", "copy": ""}, UNKNOWN, "does not tell the MAC"),
        ("none", UNKNOWN, "does not tell the MAC"),
    ],
)
def test_a_clone_has_a_mac_of_its_own(claim_of: ClaimOf, mac: object, verdict: Verdict, reason: str) -> None:
    """Two with the same one break both."""
    record = cloned()
    record.found("fault", "injected")[0]["data"]["mac"] = mac
    found = claim_of(record, OPERATIONS)
    assert (found.verdict, reason in found.reason) == (verdict, True)


def test_the_measured_pause_is_the_one_that_decides(claim_of: ClaimOf) -> None:
    """The detection limit is the schedule's period, which no pause is shorter than."""
    record = disk_record()
    hold(record, BEGUN, 1.0)
    found = claim_of(record, CONTINUITY)
    assert found.measured == pytest.approx(1.0 + PERIOD, abs=0.11)
    assert (found.limit, found.detection_limit) == (2.0, PERIOD)
    undisturbed = next(part for part in found.parts if part.object == "baseline")
    assert undisturbed.measured == pytest.approx(PERIOD, abs=NETWORK_US / 1e6)
    assert BASELINE < BEGUN
