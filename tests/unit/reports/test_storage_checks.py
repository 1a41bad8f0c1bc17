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
    BOOT,
    DONE,
    END,
    NETWORK_US,
    OPENED,
    PERIOD,
    VM,
    disk_record,
    hold,
    number_at,
    restored_record,
    rows,
    verified,
    waits_for_ever,
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
        (OPERATIONS, told("fault", "injected", volumes={"excludedVolumes": ["data"]}), FAIL, "leaves the disk out"),
        (OPERATIONS, told("fault", "injected", volumes={"includedVolumes": []}), UNKNOWN, "does not tell that"),
        (OPERATIONS, told("fault", "injected", volumes={}), UNKNOWN, "does not tell that it holds the disk"),
        (OPERATIONS, told("fault", "injected", volumes="data"), UNKNOWN, "does not tell that it holds the disk"),
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
    """Whatever its command took, the writes have to go on within the recovery limit; it is proved by who felt it."""
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
    moments = {"requested_ns": at(BEGUN), "cloned_ns": at(BEGUN + 0.3), "answered_ns": at(DONE)}
    mac = {VM: "02:00:00:00:00:01", "copy": "02:00:00:00:00:02"}
    claims = {VM: "bench-0-data", "copy": "restore-1-data"}
    record = disk_record("clone", clone="copy", mac=mac, claims=claims, **moments)
    verified(record, DONE + 3, last=number_at(BEGUN), vm="copy", boot_id=ANOTHER_BOOT, source=VM)
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


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        ("pid 1", "pid 2", PASS, "never longer than"),
        ("pid 1", "pid 1", UNKNOWN, "it did not fail over"),
        ("pid 1", "", UNKNOWN, "on one side of the failover only"),
        ("", "pid 2", UNKNOWN, "on one side of the failover only"),
        ("", "", UNKNOWN, "no write felt the failover"),
    ],
)
def test_a_failover_that_no_write_felt_is_proved_by_its_generations(
    claim_of: ClaimOf, before: str, after: str, verdict: Verdict, reason: str
) -> None:
    """A command that does nothing would certify otherwise."""
    record = disk_record("storage-failover", generation=before)
    record.found("fault", "healed")[0]["data"]["generation"] = after
    found = claim_of(record, CONTINUITY)
    part = next(part for part in found.parts if part.object.startswith("fault/1"))
    assert (found.verdict, reason in part.reason) == (verdict, True), part.reason


def test_a_disk_that_hangs_for_ever_fails(claim_of: ClaimOf) -> None:
    """No acknowledgement tells of the write that it has, but the guest does, until nobody asks any more."""
    record = disk_record()
    waits_for_ever(record, BEGUN, END - 1)
    found = claim_of(record, CONTINUITY)
    assert (found.verdict, "the disk held a write for 7.0" in found.reason) == (FAIL, True), found.reason
    for event in record.found("io-ledger", "waiting"):
        event["data"]["own_us"] = event["data"]["told_us"] - event["data"]["submitted_us"]
    assert claim_of(record, CONTINUITY).verdict is UNKNOWN


def test_a_write_that_was_out_and_came_back_is_told_by_its_end(claim_of: ClaimOf) -> None:
    """What was told of it meanwhile adds nothing."""
    record = disk_record()
    record.found("run", "phase")[-1]["t_ns"] = at(END + 0.49)  # the last pause of the ledger is judged too
    hold(record, BEGUN, 1.5)
    record.event(
        BEGUN + 1.2, "io-ledger", "waiting", VM, session=1, seq=number_at(BEGUN) + 1, submitted_us=0,
        told_us=9_000_000, own_us=0,
    )
    assert claim_of(record, CONTINUITY).verdict is PASS


def test_a_disk_that_crawls_is_behind_its_schedule(claim_of: ClaimOf) -> None:
    """Each write within the limit, and the schedule further away with each of them."""
    record = disk_record()
    columns, took = rows(record), 1_900_000
    kept = int((END + 0.5 - OPENED) / 1.9) - 1
    for name, column in columns.items():
        del column[kept:]
        if name not in ("seq", "intended", "own"):
            column[:] = [(place + 1) * took + (0 if name == "submitted" else 900) - took for place in range(kept)]
    columns["completed"][:] = [one + took - 1000 for one in columns["submitted"]]
    columns["arrived"][:] = [one + 400 for one in columns["completed"]]
    told("io-ledger", "end", next=kept, acknowledged=kept)(record)
    record.drop("io-ledger", "verified")
    verified(record, END + 1, last=kept - 1)
    found = claim_of(record, CONTINUITY)
    assert (found.verdict, "behind their schedule" in found.reason) == (UNKNOWN, True), found.reason


@pytest.mark.parametrize(
    ("result", "verdict", "reason"),
    [
        ({"runtime_s": 1.5, "ended_ns": at(DONE + 0.4)}, PASS, "writes acknowledged"),
        ({"runtime_s": 1.5, "ended_ns": at(BEGUN - 0.4)}, UNKNOWN, "no snapshot took place while fio measured"),
        ({"error": "no room"}, UNKNOWN, "not shown to be busy: no room"),
        (None, UNKNOWN, "it told no result"),
    ],
)
def test_a_disturbance_under_fio_needs_fio(
    claim_of: ClaimOf, result: dict[str, Any] | None, verdict: Verdict, reason: str
) -> None:
    """Without it the disk was idle but for the ledger."""
    record = disk_record()
    record.event(BEGUN - 1, "fio", "begin", VM, job="random", during="snapshot", mib=64)
    if result is not None:
        record.event(DONE + 0.5, "fio", "result", VM, job="random", during="snapshot", mib=64, **result)
    found = claim_of(record, CONTINUITY)
    assert (found.verdict, reason in found.reason) == (verdict, True), found.reason


def test_fio_undisturbed_is_judged_by_its_own_name(claim_of: ClaimOf) -> None:
    """A disk that holds a write because fio asks for all it can is not one that does so by itself."""
    record = disk_record()
    settle = [event for event in record.found("run", "phase") if event["data"]["phase"] == "baseline"]
    settle[1]["t_ns"] = at(2.0)
    record.event(2.5, "fio", "begin", VM, job="random", during="baseline", mib=64)
    record.event(5.5, "fio", "result", VM, job="random", during="baseline", mib=64)
    hold(record, 3.0, 2.3)
    record.events.sort(key=lambda event: event["t_ns"])
    found = claim_of(record, CONTINUITY)
    assert (found.verdict, found.reason.startswith("fio random, undisturbed: the disk held")) == (FAIL, True)


def test_what_was_acknowledged_late_may_be_on_the_copy(claim_of: ClaimOf) -> None:
    """It was given to the disk before the snapshot; when the client heard of it says nothing of where it belongs."""
    record = restored_record()
    late, columns = number_at(BEGUN) + 1, rows(record)
    for place in range(late, late + 30):
        columns["arrived"][place] = columns["arrived"][late + 35]
    for event in record.found("io-ledger", "verified"):
        states = event["data"]["states"]
        states["present"][0][1] += 1
        states["missing"][0][0] += 1
    columns["submitted"][late] = columns["submitted"][late - 1] + 200
    found = claim_of(record, DURABILITY)
    assert found.verdict is PASS, found.reason


@pytest.mark.parametrize("kind", ["restore", "clone"])
def test_a_copy_is_of_one_moment(claim_of: ClaimOf, kind: str) -> None:
    """The guest writes one at a time: with a write that came later, all before it have to be there."""
    record = restored_record() if kind == "restore" else cloned()
    first = number_at(BEGUN)
    told = record.found("io-ledger", "verified")[0]["data"]
    last = told["count"] - 1
    present, missing = [[0, first + 2], [first + 4, first + 4]], [[first + 3, first + 3], [first + 5, last]]
    if last < first + 6:
        told["count"], missing[1][1] = first + 10, first + 9
    told["states"] = {"present": present, "missing": missing}
    found = claim_of(record, DURABILITY)
    assert (found.verdict, f"it lacks {first + 3}, and holds" in found.reason) == (FAIL, True), found.reason


def test_a_clone_that_shares_the_disk_of_its_original_fails(claim_of: ClaimOf) -> None:
    """It holds what was written after it was made."""
    record = cloned()
    told = record.found("io-ledger", "verified")[0]["data"]
    told |= {"count": 120, "states": {"present": [[0, number_at(DONE + 3)]]}}
    told["states"]["missing"] = [[number_at(DONE + 3) + 1, 119]]
    found = claim_of(record, DURABILITY)
    assert (found.verdict, "that came after it was cloned" in found.reason) == (FAIL, True), found.reason


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (told("fault", "injected", cloned_ns=at(END)), "one that shares the original's disk looks the same"),
        (told("fault", "injected", cloned_ns=None), "does not tell when copy was asked for and made"),
        (lambda record: record.found("io-ledger", "verified")[0]["data"].update(boot_id=BOOT), "read in the guest of"),
    ],
)
def test_a_clone_of_which_nothing_tells_is_not_known(claim_of: ClaimOf, spoil: Spoil, reason: str) -> None:
    """Nothing was written after it, or the reading may have been the original's."""
    record = cloned()
    spoil(record)
    found = claim_of(record, DURABILITY)
    assert (found.verdict, reason in found.reason) == (UNKNOWN, True), found.reason


@pytest.mark.parametrize(
    ("claims", "verdict"),
    [
        ({VM: "bench-0-data", "copy": "bench-0-data"}, FAIL),
        ({VM: "bench-0-data", "copy": ""}, UNKNOWN),
    ],
)
def test_a_clone_has_a_claim_of_its_own(claim_of: ClaimOf, claims: dict[str, str], verdict: Verdict) -> None:
    """Two machines that write one file system break it."""
    record = cloned()
    record.found("fault", "injected")[0]["data"]["claims"] = claims
    assert claim_of(record, OPERATIONS).verdict is verdict


@pytest.mark.parametrize(
    ("answered", "boots", "verdict", "reason"),
    [
        (("storm-0", "storm-1"), {"storm-0": "a", "storm-1": "b"}, PASS, "took"),
        (("storm-0", "storm-1"), None, PASS, "took"),
        (("storm-0",), {"storm-0": "a"}, UNKNOWN, "no answer of storm-1"),
        (("storm-0", "storm-1"), {"storm-0": "a", "storm-1": "a"}, UNKNOWN, "of different guests"),
        (("storm-0", "storm-1"), {"storm-0": "a", "storm-1": BOOT}, UNKNOWN, "of different guests"),
        (("storm-0", "storm-1"), {"storm-0": "a", "storm-1": ""}, UNKNOWN, "of different guests"),
    ],
)
def test_every_machine_of_a_storm_answers(
    claim_of: ClaimOf, answered: tuple[str, ...], boots: dict[str, str] | None, verdict: Verdict, reason: str
) -> None:
    """Each for itself."""
    moments = dict.fromkeys(answered, at(DONE))
    facts = {"boot_ids": boots} if boots else {}
    record = disk_record("boot-storm", requested_ns=at(BEGUN), answered_ns=moments, **facts)
    for event in record.events:
        if event["source"] == "fault":
            event["data"]["target"] = "storm-0,storm-1"
    found = claim_of(record, OPERATIONS)
    assert (found.verdict, reason in found.reason) == (verdict, True), found.reason


def test_a_disk_without_a_file_system_has_lost_everything(claim_of: ClaimOf) -> None:
    """A copy that cannot be mounted."""
    record = restored_record()
    told = record.found("io-ledger", "verified")[0]["data"]
    told |= {"writable": False, "states": {"in no file system": [[0, told["count"] - 1]]}}
    found = claim_of(record, DURABILITY)
    assert (found.verdict, "in no file system)" in found.reason) == (FAIL, True), found.reason


def powered_off(record: Record, boot_id: str = ANOTHER_BOOT, last: int | None = None) -> None:
    """After the first reading the machine loses its power; another boot of it is read then."""
    record.event(END + 2, "power-cut", "begin", VM)
    record.event(END + 4, "power-cut", "end", VM, boot_id=boot_id)
    verified(record, END + 5, last=len(rows(record)["seq"]) - 1 if last is None else last, boot_id=boot_id)


@pytest.mark.parametrize("kind", ["storage-pause", "storage-failover"])
def test_what_a_disturbed_server_has_is_read_in_another_boot(claim_of: ClaimOf, kind: str) -> None:
    """The guest that wrote remembers where its file lies, whatever the storage lost of the file system."""
    record = disk_record(kind)
    found = claim_of(record, DURABILITY)
    assert (found.verdict, "was read in no other boot" in found.reason) == (UNKNOWN, True), found.reason
    powered_off(record)
    found = claim_of(record, DURABILITY)
    assert (found.verdict, found.reason.endswith("in 2 readings")) == (PASS, True), found.reason


def test_what_only_another_boot_misses_is_lost(claim_of: ClaimOf) -> None:
    """The first reading found it, by what the guest remembered."""
    record = disk_record("storage-failover")
    powered_off(record)
    record.found("io-ledger", "verified")[-1]["data"]["states"] = {"present": [[0, 39]], "missing": [[40, 400]]}
    record.found("io-ledger", "verified")[-1]["data"]["count"] = 401
    found = claim_of(record, DURABILITY)
    assert (found.verdict, "acknowledged writes are lost" in found.reason) == (FAIL, True), found.reason


def test_the_same_boot_read_twice_is_no_other(claim_of: ClaimOf) -> None:
    record = disk_record("storage-failover")
    powered_off(record, boot_id=BOOT)
    assert claim_of(record, DURABILITY).verdict is UNKNOWN


def test_a_power_cut_excuses_its_own_restart_alone(claim_of: ClaimOf) -> None:
    """A guest that was found restarted before it has restarted by itself."""
    record = disk_record("storage-failover", generation="pid 1")
    record.found("fault", "healed")[0]["data"]["generation"] = "pid 2"
    powered_off(record)
    assert claim_of(record, CONTINUITY).verdict is PASS
    record.found("io-ledger", "verified")[0]["data"]["boot_id"] = ANOTHER_BOOT
    found = claim_of(record, CONTINUITY)
    assert (found.verdict, "the guest restarted" in found.reason) == (FAIL, True), found.reason
