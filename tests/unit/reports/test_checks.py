"""Every claim is seen to pass, to fail and to be unknown, each for its own reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from drainproof.record import Outcome
from reports.judge import conclude
from reports.verdict import Verdict
from tests.unit.reports import spoils
from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.records import ANOTHER_BOOT, Record, good_record
from tests.unit.reports.scraped import longest_exported
from tests.unit.reports.spoils import Spoil, without
from tests.unit.reports.timeline import BASELINE, END, at, drain_begin, pause_of

PLACEMENT, MIGRATION, CONTINUITY, LOAD = (
    "placement.separate-nodes", "migration.live", "continuity.requests", "prometheus.load"
)
GALERA, LEDGER, HYPERVISOR, RESTORED = (
    "galera.steady", "ledger.complete", "hypervisor.downtime", "cluster.restored"
)
STOPWATCH = ("outage.udp", "outage.heartbeat", "outage.tcp-kept", "outage.tcp-new", "instrument.control")
PHASES, INTACT = "downtime.phases", "record.intact"
ALL = (
    PLACEMENT, MIGRATION, CONTINUITY, *STOPWATCH, LOAD, GALERA, LEDGER, HYPERVISOR, PHASES, RESTORED, INTACT
)

FAILS: list[tuple[str, Spoil, str]] = [
    (PLACEMENT, spoils.share_a_node, "both on node-b from 00:00:07.000 on"),
    (MIGRATION, spoils.restart, f"portal-b: the guest restarted: boot id {ANOTHER_BOOT} at 00:00:16.200"),
    (MIGRATION, spoils.recreate, "portal-c: restarted: another VMI another"),
    (MIGRATION, spoils.end_migration("Failed"), "the migration node-a to node-d failed"),
    (MIGRATION, spoils.end_migration("Succeeded", "PostCopy"), "in mode PostCopy"),
    (MIGRATION, spoils.stay_on_node, "ended on the node where it began"),
    (CONTINUITY, spoils.fail_one(Outcome.ERROR), "http-new/portal-b: 1 of 300 operations failed, first at 00:00:09.0"),
    (CONTINUITY, spoils.fail_one(Outcome.INDETERMINATE, "sql/portal-a"), "INDETERMINATE"),
    (CONTINUITY, spoils.fail_one(Outcome.TIMEOUT, "clinic/POST pay"), "clinic/POST pay: 1 of"),
    (CONTINUITY, spoils.pause_guest, "http-new/portal-a: silent for 3."),
    (LOAD, spoils.count_error, "counters of sql/portal-a: 1 operations counted as error, first seen at 00:00:12.370"),
    (LOAD, spoils.export_other_gap, "longest gap of sql/portal-b: exported 1.400 s"),
    (GALERA, spoils.scrape("cluster_size", "2"), "portal-b: cluster_size 2 instead of 3 at 00:00:09.370"),
    (GALERA, spoils.scrape("cluster_status", "0"), "cluster_status 0 instead of 1"),
    (GALERA, spoils.scrape("local_state", "2"), "local_state 2 instead of 4"),
    (GALERA, spoils.scrape("conf_id", "19"), "configuration: the configuration id was 19 on portal-b at 00:00:09.370"),
    (GALERA, spoils.hold_replication, "flow control of portal-c in drain/1: paused for 5"),
    (LEDGER, spoils.lose_row, "ledger on portal-a: 1 acknowledged writes are missing: 1000000000007"),
    (LEDGER, spoils.change_row, "table patients: 1 rows differ: key 5 differs on portal-b"),
    (LEDGER, spoils.drop_row_on_one, "table bills: 1 rows differ: key 9 is missing on portal-c"),
    (LEDGER, spoils.double_one_for_another, "table bills: 1 rows differ: key 9 is there twice on portal-a"),
    (LEDGER, spoils.keep_refused, "1 writes are there that clients were told had failed: 40"),
    (LEDGER, spoils.empty_ledger, "ledger on portal-b: 405 acknowledged writes are missing"),
    (LEDGER, spoils.split_history, "different histories"),
    (RESTORED, spoils.leave({"unschedulable": True}), "node node-b: left cordoned"),
    (RESTORED, spoils.leave({"taints": ["kubevirt.io/drain=:NoSchedule"]}), "taint kubevirt.io/drain=:NoSchedule left"),
    (RESTORED, spoils.leave({"labels": {"zone": "two"}}), "label zone is 'two', was 'one'"),
    (RESTORED, spoils.leave_namespace, "objects of kind Namespace: portal left behind"),
    (MIGRATION, spoils.tell("uptime_s", 2.0), "portal-b: the guest restarted: its uptime fell from 15 s to 2 s"),
]

UNKNOWNS: list[tuple[str, Spoil, str]] = [
    (PLACEMENT, without("watch", "started"), "the watch was not running"),
    (PLACEMENT, lambda record: record.event(12, "watch", "lost", "vmi", reason="410 Gone"), "broke at 00:00:12.000"),
    (PLACEMENT, without("watch", "vmi", lambda event: event["object"].endswith("-c")), "portal-c: the watch never"),
    (PLACEMENT, without("portal", "deployed"), "never deployed"),
    (PLACEMENT, without("run", "phase", lambda event: event["data"]["phase"] == "settle/3"), "before all was"),
    (MIGRATION, without("witness", "identity"), "was not read before the first drain"),
    (MIGRATION, without("watch", "vmim"), "the watch never saw this migration"),
    (MIGRATION, spoils.end_migration("Running"), "last seen in phase Running"),
    (MIGRATION, spoils.end_migration("Succeeded", None), "in which mode is not recorded"),
    (MIGRATION, spoils.unproven("happened"), "not proved that the drain happened: nobody looked"),
    (MIGRATION, spoils.unproven("healed"), "not proved that the drain healed"),
    (MIGRATION, without("drain", "proof"), "the drain ended without proof"),
    (CONTINUITY, spoils.stop_probe, "its observer stalled for 3."),
    (CONTINUITY, lambda record: spoils.stop_probe(record, 10.0, 1.5), "its observer stalled for 1."),
    (CONTINUITY, spoils.die, "observer stalled for 9."),
    (CONTINUITY, spoils.fail_in_stall, "1 operations failed while their observer stalled"),
    (CONTINUITY, spoils.forget_stream, "sql/portal-b: the record has no sample"),
    (CONTINUITY, lambda record: record.samples.clear(), "no sample of this stream"),
    (CONTINUITY, spoils.tear_shard, "samples are missing: torn"),
    (LEDGER, spoils.tear_shard, "acknowledged writes may be missing from the record: torn"),
    (LOAD, spoils.kill_prometheus, "Prometheus has nothing for"),
    (LOAD, spoils.lose_scrapes, "scrapes are missing"),
    (LOAD, spoils.reset_counter, "a counter was reset"),
    (LOAD, spoils.break_query("operations"), "the query 'operations' to Prometheus failed: connection refused"),
    (LOAD, spoils.empty_query("longest_gap"), "the query 'longest_gap' returned no series"),
    (GALERA, spoils.kill_prometheus, "no scrape for"),
    (GALERA, spoils.lose_one_state, "no scrape for"),
    (PLACEMENT, spoils.silence_watch, "the watch said nothing for"),
    (LEDGER, spoils.never_settle, "had not come to rest"),
    (LEDGER, spoils.audit_says(cluster_status="non-Primary"), "had cluster_status non-Primary"),
    (LEDGER, spoils.audit_says(cluster_state_uuid=None), "the members told 2 histories"),
    (GALERA, spoils.empty_query("conf_id"), "the query 'conf_id' returned no series"),
    (GALERA, spoils.scrape_nothing_and_write_nothing, "nothing else accounts for that time"),
    (GALERA, spoils.scrape_and_write_nothing_in_a_migration, "longer than Galera waits for a member"),
    (GALERA, spoils.empty_query("flow_control_paused_ns"), "flow control"),
    (LEDGER, without("audit", "done"), "the audit did not end"),
    (LEDGER, spoils.unreachable, "audit of portal-b: the member could not be read: timed out"),
    (LEDGER, spoils.read_half, "40 rows of patients were read, but the record holds 20"),
    (LEDGER, spoils.forget_member, "ledger on portal-c: the audit holds no row"),
    (LEDGER, spoils.acknowledge_nothing, "no write was acknowledged"),
    (HYPERVISOR, without("hypervisor", "downtime"), "missing or says nothing"),
    (HYPERVISOR, spoils.read_too_early, "missing or says nothing"),
    (RESTORED, without("cluster", "snapshot", lambda event: event["data"]["when"] == "after"), "after the run"),
    (MIGRATION, spoils.tell("boot_id", ""), "portal-b: '', read at 00:00:16.200, is no boot id"),
    (MIGRATION, spoils.tell("hostname", "portal-a"), "calls itself 'portal-a'"),
    (MIGRATION, spoils.share_a_boot, "they are not told apart"),
    (MIGRATION, without("witness", "identity", lambda event: at(11) < event["t_ns"] < at(14)), "between drain/1 and"),
    (CONTINUITY, spoils.lose_samples, "7 samples are missing: the probe took"),
    (CONTINUITY, without("ledger", "stop"), "the ledger never told that it stopped"),
    (CONTINUITY, spoils.kill_observer, "the ledger ended with code -9"),
    (LOAD, spoils.export_no_clinic, "no counter of clinic staff was scraped"),
    (LOAD, spoils.count_half, "counters of http-new/portal-a: 1"),
]


def test_good_record_passes(record: Record, judged: Judge) -> None:
    """A good record passes every claim, with a measured value for each."""
    verdict = judged(record)
    assert [(claim.id, claim.verdict, claim.reason) for claim in verdict.claims if claim.verdict != "pass"] == []
    assert [claim.id for claim in verdict.claims] == list(ALL)
    assert all(claim.measured is not None and claim.evidence and claim.detection for claim in verdict.claims)
    assert verdict.verdict is Verdict.PASS


@pytest.mark.parametrize(("claim_id", "spoil", "reason"), FAILS)
def test_claim_fails(record: Record, claim_of: ClaimOf, claim_id: str, spoil: Spoil, reason: str) -> None:
    """A claim that does not hold fails and names the object and what was seen."""
    spoil(record)
    claim = claim_of(record, claim_id)
    assert (claim.verdict, claim.reason) == (Verdict.FAIL, claim.reason)
    assert reason in claim.reason


@pytest.mark.parametrize(("claim_id", "spoil", "reason"), UNKNOWNS)
def test_claim_is_unknown(record: Record, claim_of: ClaimOf, claim_id: str, spoil: Spoil, reason: str) -> None:
    """A claim that lacks its evidence is unknown and names what is missing."""
    spoil(record)
    claim = claim_of(record, claim_id)
    assert (claim.verdict, claim.reason) == (Verdict.UNKNOWN, claim.reason)
    assert reason in claim.reason


@pytest.mark.parametrize("file", ["samples.parquet", "metrics.json", "tables.parquet"])
def test_missing_file_leaves_claims_unknown(tmp_path: Path, file: str) -> None:
    """A missing file makes claims unknown, none fail, and no path of this machine enters the verdict."""
    case = good_record().write(tmp_path / "run-1")
    (case / file).unlink()
    verdict = conclude(case)
    assert verdict.verdict is Verdict.UNKNOWN
    assert not [claim for claim in verdict.claims if claim.verdict is Verdict.FAIL]
    assert str(tmp_path) not in str(verdict)


def test_guest_pause_is_measured(record: Record, claim_of: ClaimOf) -> None:
    """A guest held for 3 s, whose requests all succeed in the end, is measured within 200 ms."""
    spoils.pause_guest(record)
    claim = claim_of(record, CONTINUITY)
    assert claim.measured == pytest.approx(3.0, abs=0.2)
    assert claim.limit == 2.0


def test_stall_takes_only_its_share(record: Record, claim_of: ClaimOf) -> None:
    """A stalled observer does not excuse a gap that is too long spoils.without the stall."""
    begin, _ = pause_of("portal-a")
    record.silence("http-new/portal-a", begin, begin + 4)
    record.event(begin + 1, "probe", "stall", late_ms=300, start_ns=at(begin + 0.5), end_ns=at(begin + 0.9))
    claim = claim_of(record, CONTINUITY)
    assert claim.verdict is Verdict.FAIL
    assert next(part for part in claim.parts if part.object == "http-new/portal-a").at == "00:00:07.908"


def test_missing_scrapes_in_a_migration_are_accounted_for(record: Record, claim_of: ClaimOf) -> None:
    """A hole in a member's scrapes that lies in its own migration passes and is listed."""
    spoils.scrape_nothing(3.1, drain_begin(0) + 1.5)(record)
    claim = claim_of(record, GALERA)
    assert claim.verdict is Verdict.PASS
    assert "accounted for by its migration" in next(p.reason for p in claim.parts if p.object == "holes of portal-a")


@pytest.mark.parametrize(("seconds", "begin"), [(3.2, 1.0), (8.5, 5.5)])
def test_missing_scrapes_are_accounted_for_by_the_member_s_own_writes(
    record: Record, claim_of: ClaimOf, seconds: float, begin: float
) -> None:
    """A slow exporter is forgiven while the member acknowledges writes and the configuration id stays the same."""
    spoils.scrape_nothing(seconds, begin)(record)
    assert claim_of(record, GALERA).verdict is Verdict.PASS


def test_machines_that_shared_a_node_from_the_start_fail(record: Record, claim_of: ClaimOf) -> None:
    """A node shared since before the baseline is a shared node."""
    spoils.share_a_node_from_the_start(record)
    claim = claim_of(record, PLACEMENT)
    assert claim.verdict is Verdict.FAIL
    assert "both on node-b" in claim.reason


def test_open_writes_may_be_there_or_not(record: Record, claim_of: ClaimOf) -> None:
    """A write that was never acknowledged may be on all members or on none."""
    record.samples["sql/portal-a"][30][3] = Outcome.INDETERMINATE
    record.samples["sql/portal-a"][31][3] = Outcome.INDETERMINATE
    record.tables = [row for row in record.tables if not (row[1] == "ledger" and row[2] == 31)]
    assert claim_of(record, LEDGER).verdict is Verdict.PASS


def test_broken_run_can_fail_but_not_pass(record: Record, judged: Judge) -> None:
    """A run that broke off in a drain passes nothing that needs its end, and still fails what failed."""
    record.drop("run", "phase", lambda event: event["t_ns"] > at(BASELINE + 4))
    spoils.restart(record)
    record.found("witness", "identity")[4]["data"]["boot_id"] = ANOTHER_BOOT
    for event in record.found("probe", "stop"):
        event["t_ns"] = at(END)
    verdicts = {claim.id: claim.verdict for claim in judged(record).claims}
    assert verdicts[MIGRATION] is Verdict.FAIL
    assert Verdict.PASS not in (verdicts[PLACEMENT], verdicts[CONTINUITY], verdicts[LOAD], verdicts[GALERA])


def test_crashing_check_is_unknown(record: Record, claim_of: ClaimOf) -> None:
    """A record of an unexpected shape makes the check break, which is unknown, and the others are judged."""
    record.found("witness", "identity")[3]["data"] = {}
    claim = claim_of(record, MIGRATION)
    assert claim.verdict is Verdict.UNKNOWN
    assert "the check broke: KeyError" in claim.reason


def test_weaker_durability_is_noted(record: Record, claim_of: ClaimOf) -> None:
    """A database that acknowledges before it flushes is named beside the verdict."""
    record.found("audit", "member")[0]["data"]["settings"]["innodb_flush_log_at_trx_commit"] = 2
    assert "innodb_flush_log_at_trx_commit was 2" in claim_of(record, LEDGER).hint


def test_exported_gap_of_a_pause_agrees(record: Record, claim_of: ClaimOf) -> None:
    """A long pause that both instruments saw is no disagreement."""
    spoils.pause_guest(record)
    for kind in ("http-new", "http-reused"):
        stream = f"{kind}/portal-a"
        for pair in record.series("longest_gap", stream=stream):
            pair[1] = str(longest_exported(record.samples[stream], at(END)))
    assert claim_of(record, LOAD).verdict is Verdict.PASS
