"""Every claim about faults is seen to pass, to fail and to be unknown, each for its own reasons."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import members
from reports.evidence import PLANNED, UNPLANNED, Evidence
from reports.judge import conclude
from reports.members import departures
from reports.spans import Span
from reports.verdict import Verdict
from tests.unit.reports import fault_spoils as bad
from tests.unit.reports import spoils
from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.fault_records import BACK, BEGUN, JOINED, LOST, fault_record, scrape_again, state
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.spoils import Spoil, without
from tests.unit.reports.timeline import at

PROVED, SURVIVES, RECOVERY, PLACEMENT, QUORUM, MEMBERSHIP, AGREEMENT, LOAD, LEDGER = (
    "faults.proved", "service.survives", "recovery.times", "placement.separate-nodes", "quorum.margin",
    "galera.membership", "prometheus.cluster", "prometheus.load", "ledger.complete",
)
ALL = (
    PROVED, SURVIVES, RECOVERY, PLACEMENT, QUORUM, "instrument.control", LOAD, AGREEMENT, MEMBERSHIP, LEDGER,
    "cluster.restored", "record.intact",
)
OUT = {"cluster_status": "non-Primary", "cluster_size": 1, "local_state": 0, "state_comment": "Initialized"}
REFUSES = bad.expected(refuses_writes=(LOST,))
STAYS_DOWN = bad.expected(restarted=(), stays_down=(LOST,))
SOON = bad.limit("rto_seconds", 15)
LOST_SERVICE = bad.then(SOON, bad.expected(outage=True))
OTHER_HISTORY = "00000000-1111-4000-8000-000000000002"

FAILS: list[tuple[str, Spoil, str]] = [
    (SURVIVES, bad.silent("sql/portal-a", 7, 23.5), "sql/portal-a: silent for 22."),
    (SURVIVES, bad.silent("http-new/portal-a", 7, 13), "http-new/portal-a: silent for 6."),
    (SURVIVES, bad.failing("http-new/portal-a", 9, 9.1), "http-new/portal-a: 1 of 300 operations failed"),
    (SURVIVES, bad.failing("http-reused/portal-c", 9, 9.1), "http-reused/portal-c: 2 of 600 operations failed"),
    (SURVIVES, bad.failing("sql/portal-c", 3, 3.3), "sql/portal-c: 1 of"),
    (SURVIVES, bad.failing("http-new/vip", 8, 10), "failures of http-new/vip: 20 of 300 failed, 6.67%"),
    (SURVIVES, bad.failing("http-new/vip", 3, 3.1), "http-new/vip: 1 of"),
    (SURVIVES, bad.failing("clinic/POST pay", 3, 4), "clinic/POST pay: 1 of"),
    (SURVIVES, bad.failing("clinic/GET doctors", 8, 12), "failures of clinic staff: 1"),
    (SURVIVES, bad.silent(f"http-new/{LOST}", 1, 4), "http-new/portal-b: silent for 3."),
    (SURVIVES, bad.unreachable("tcp-new/portal-a", 8, 14.5), "tcp-new/portal-a: down for"),
    (SURVIVES, bad.unreachable("tcp-new/vip", 8, 14.5), "tcp-new/vip: down for"),
    (SURVIVES, bad.expected(lost=(), restarted=(), expelled=()), "http-new/portal-b: 130 of 300 operations failed"),
    (RECOVERY, bad.limit("rto_seconds", 5), "portal-b in fault/1, serves again: served again after 13."),
    (RECOVERY, bad.then(bad.limit("rto_seconds", 5), bad.not_restarted), "restarted: never started anew in 2"),
    (RECOVERY, bad.then(bad.limit("rto_seconds", 5), bad.never_back), "http-new/portal-b had not come back 2"),
    (RECOVERY, bad.then(LOST_SERVICE, bad.failing("http-new/vip", 8, 35)), "vip in fault/1, serves again: http-new"),
    (RECOVERY, bad.then(LOST_SERVICE, bad.failing("http-reused/vip", 8, 26)), "vip in fault/1, serves again: served"),
    (RECOVERY, bad.then(SOON, bad.failing(f"http-reused/{LOST}", 7, 35)), "http-reused/portal-b had not come back 2"),
    (RECOVERY, bad.then(STAYS_DOWN, bad.unfenced), "although nobody fenced node node-b: two guests may have run"),
    (RECOVERY, bad.then(STAYS_DOWN, bad.untainted), "although nobody fenced node node-b: two guests may have run"),
    (RECOVERY, bad.then(STAYS_DOWN, bad.back_before_fencing), "restarted at 00:00:12.000 although nobody fenced"),
    (RECOVERY, STAYS_DOWN, "node node-b was fenced, which this fault was to be without"),
    (PLACEMENT, bad.on_one_node, "both on node-a from 00:00:15.000 on"),
    (QUORUM, bad.on_one_node, "nodes: portal-a, portal-b: both on node-a"),
    (QUORUM, bad.pause_another, "portal-a, portal-b: both away at 00:00:09.500"),
    (QUORUM, bad.told(14, "portal-a", cluster_size=1, conf_id=18), "1 members at the worst moment"),
    (QUORUM, bad.scraped("cluster_size", "1"), "members that were scraped: 1 members at the worst moment"),
    (MEMBERSHIP, bad.told(22, "portal-c", state_uuid=OTHER_HISTORY, conf_id=19), "follow different histories"),
    (MEMBERSHIP, bad.told(3, "portal-a", conf_id=21), "changes that no fault explains, first 21 on portal-a"),
    (MEMBERSHIP, bad.told(3, "portal-a", cluster_status="non-Primary"), "departures of portal-a: it left the primary"),
    (MEMBERSHIP, bad.told(14, "portal-c", cluster_status="non-Primary"), "departures of portal-c: it left the primary"),
    (MEMBERSHIP, bad.expected(expelled=("portal-c",)), "portal-c in fault/1: it was to leave the primary component"),
    (MEMBERSHIP, REFUSES, "writes were acknowledged by a minority, first at 00:00:20."),
    (MEMBERSHIP, bad.told(29.5, "portal-c", local_state=2, state_comment="Donor", conf_id=19), "Primary, Donor, in a"),
    (MEMBERSHIP, bad.never_answered, "portal-b at the end: it did not answer any more from 00:00:08.200 on: timed out"),
    (MEMBERSHIP, bad.then(bad.silent_member(29), bad.told(31, "portal-a", **OUT)), "portal-a at the end: not Primary"),
    (
        MEMBERSHIP,
        bad.then(bad.silent_member(29), bad.told(31, "portal-a", **OUT)),
        "departures of portal-a: it left the primary component, first seen at 00:00:31.000",
    ),
    (MEMBERSHIP, bad.joined(30.5, 2.0), "departures of portal-a: it left the primary component"),
    (MEMBERSHIP, bad.joined(32, 1.0, since_ns=at(29.5)), "departures of portal-a: it left the primary"),
    (MEMBERSHIP, bad.joined(26, 2.0, since_ns=at(3)), "departures of portal-a: it left the primary component"),
    (LEDGER, bad.write_twice, "ledger on portal-a: 1 writes were applied twice"),
    (LEDGER, spoils.empty_ledger, "ledger on portal-b: 312 acknowledged writes are missing"),
]

UNKNOWNS: list[tuple[str, Spoil, str]] = [
    (PROVED, bad.proof(happened=False, reasons=["still on"]), "not proved that the fault happened: still on"),
    (PROVED, bad.proof(healed=False), "not proved that the fault healed"),
    (PROVED, bad.proof(reasons=["broke"]), "the fault reported an error: broke"),
    (PROVED, without("fault", "proof"), "the fault ended without proof"),
    (PROVED, without("fault", "injected"), "lacks when it was injected or healed"),
    (PROVED, without("fault", "begin"), "no event fault/begin that says what was done in fault/1"),
    (SURVIVES, without("fault", "begin"), "no event fault/begin that says what was done in fault/1"),
    (PROVED, bad.begin(fault=""), "no event fault/begin that says what was done in fault/1"),
    (PROVED, bad.begin(expects=None), "what fault/1 expects cannot be read: it is not told"),
    (SURVIVES, bad.begin(expects={"outage": "false"}), "what fault/1 expects cannot be read: outage"),
    (SURVIVES, bad.begin(expects={"lost": "ab", "moved": ["a"]}), "what fault/1 expects cannot be read: lost, moved"),
    (SURVIVES, bad.begin(expects={"lost": [1], "moved": {"a": 1}}), "cannot be read: lost, moved"),
    (PROVED, bad.move("healed", -17), "in no possible order: 00:00:06.050, 00:00:08.000, 00:00:07.000"),
    (PROVED, bad.healed(ordered_ns=at(24.5)), "in no possible order"),
    (PROVED, bad.move("begin", 3), "in no possible order"),
    (PROVED, bad.healed(lasted=False), "it ended by itself before its end was ordered"),
    (PROVED, bad.healed(together=[{"lasted": True}, {"lasted": False}]), "it ended by itself before its end"),
    (PROVED, without("run", "phase", lambda event: "fault" in event["data"]["phase"]), "no fault was injected"),
    (PROVED, without("run", "phase", lambda event: "settle" in event["data"]["phase"]), "before all was steady again"),
    (SURVIVES, lambda record: spoils.stop_probe(record, 14.0, 3.0), "its observer stalled for 3."),
    (SURVIVES, spoils.kill_observer, "the ledger ended with code -9"),
    (SURVIVES, spoils.lose_samples, "7 samples are missing"),
    (SURVIVES, spoils.tear_shard, "samples are missing: torn"),
    (SURVIVES, spoils.forget_stream, "sql/portal-b: the record has no sample of this stream"),
    (SURVIVES, bad.unprobed, "samples.parquet has no stream tcp-new/vip"),
    (RECOVERY, bad.unnoticed, "nothing in the record shows that the cluster noticed"),
    (RECOVERY, without("watch", "node"), "nothing in the record shows that the cluster noticed"),
    (RECOVERY, bad.unfenced, "no out-of-service taint and no end of its pod seen"),
    (RECOVERY, bad.not_restarted, "never started anew in 2"),
    (RECOVERY, bad.then(STAYS_DOWN, bad.unnamed), "not restarted: the record does not tell which instance it was"),
    (RECOVERY, bad.then(bad.same_instance, bad.same_boot), "restarted: the record does not tell which instance it was"),
    (RECOVERY, bad.then(bad.expected(outage=True), bad.failing("http-new/vip", 8, 35)), "http-new/vip had not come"),
    (RECOVERY, bad.never_back, "http-new/portal-b had not come back"),
    (RECOVERY, spoils.forget_stream, "the record has no sample of sql/portal-b"),
    (
        RECOVERY,
        bad.then(bad.not_restarted, lambda record: record.event(14, "watch", "lost", "vmi", reason="410 Gone")),
        "restarted: the watch broke at 00:00:14.000 (410 Gone)",
    ),
    (RECOVERY, lambda record: record.found("fault", "begin")[0]["data"].update(expects={"odd": 1}), "cannot be read"),
    (PLACEMENT, bad.api_away, "the watch broke at 00:00:16.000 (connection refused)"),
    (QUORUM, bad.look_away, "nobody looked at it for"),
    (QUORUM, without("membership", "state"), "no member told the size of its cluster"),
    (QUORUM, spoils.empty_query("cluster_size"), "members that were scraped: the query 'cluster_size' returned no"),
    (MEMBERSHIP, bad.silent_member(29), "portal-a at the end: it did not answer any more from 00:00:29.000 on"),
    (
        MEMBERSHIP, bad.then(bad.never_answered, without("fault", "healed")),
        "fault/1 had not healed when the run ended",
    ),
    (PLACEMENT, bad.relisted, "the watch broke at 00:00:26.000 (410 Gone)"),
    (QUORUM, bad.relisted, "nodes: the watch broke at 00:00:26.000 (410 Gone)"),
    (MEMBERSHIP, bad.look_away, "looks at portal-a: nobody looked at it for"),
    (MEMBERSHIP, without("membership", "looks"), "nobody looked how it stands"),
    (MEMBERSHIP, without("membership", "state"), "no member told which history it follows"),
    (MEMBERSHIP, without("membership", "join"), "it left, and how it came back is not recorded"),
    (MEMBERSHIP, bad.then(REFUSES, without("fault", "healed")), "lacks how long the fault lasted"),
    (MEMBERSHIP, bad.then(REFUSES, bad.healed(lasted=False)), "lacks how long the fault lasted"),
    (MEMBERSHIP, bad.then(REFUSES, bad.healed(together=[{"lasted": False}])), "lacks how long the fault lasted"),
    (AGREEMENT, bad.scraped("cluster_size", "2"), "cluster_size of portal-a: 2 was scraped, 3 seen at 00:00:05.370"),
    (AGREEMENT, bad.scraped("cluster_status", "0"), "0 was scraped, 1 seen"),
    (AGREEMENT, bad.scraped("local_state", "2"), "2 was scraped, 4 seen"),
    (AGREEMENT, bad.scraped("conf_id", "21"), "21 was scraped, 17 seen"),
    (AGREEMENT, spoils.break_query("conf_id"), "the query 'conf_id' to Prometheus failed"),
    (AGREEMENT, without("membership", "state"), "it never told how it stands"),
    (AGREEMENT, bad.scraped_elsewhere, "node of portal-a: scraped on node-c, seen on node-a"),
    (AGREEMENT, spoils.empty_query("vmi_info"), "the query 'vmi_info' returned no series"),
    (AGREEMENT, bad.counted_migration, "migrations that succeeded: counted and not seen: evacuation-x"),
    (AGREEMENT, bad.seen_migration("Failed"), "migrations that failed: seen and not counted: evacuation-x"),
    (AGREEMENT, spoils.break_query("migrations_failed"), "the query 'migrations_failed' to Prometheus failed"),
    (LOAD, bad.count_errors, "counters of sql/portal-a: 40 errors were counted until"),
    (LOAD, spoils.export_other_gap, "longest gap of sql/portal-b: exported 1.400 s"),
]


@pytest.fixture
def record() -> Record:
    """The record of a node's loss, to be spoiled."""
    return fault_record()


def test_outlived_loss_passes(record: Record, judged: Judge) -> None:
    """A service that outlived the loss of a node passes every claim about faults and none about planned drains."""
    verdict = judged(record)
    assert [(claim.id, claim.verdict, claim.reason) for claim in verdict.claims if claim.verdict != "pass"] == []
    assert [claim.id for claim in verdict.claims] == list(ALL)
    assert all(claim.measured is not None and claim.evidence and claim.detection for claim in verdict.claims)


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
def test_missing_file_leaves_claims_unknown(record: Record, tmp_path: Path, file: str) -> None:
    """A missing file makes claims about faults unknown, and none fail."""
    case = record.write(tmp_path / "run-1")
    (case / file).unlink()
    verdicts = {claim.verdict for claim in conclude(case).claims}
    assert Verdict.UNKNOWN in verdicts
    assert Verdict.FAIL not in verdicts


def test_each_step_of_a_return_has_its_moment(record: Record, claim_of: ClaimOf) -> None:
    """Noticed, fenced, restarted and serving are told apart, each by the time from the loss as clients saw it."""
    parts = {part.object.partition(", ")[2]: part for part in claim_of(record, RECOVERY).parts}
    assert [round(float(parts[step].facts["after_s"] or 0)) for step in ("noticed", "fenced", "restarted")] == [4, 6, 8]
    assert parts["serves again"].measured == pytest.approx(13.2, abs=0.3)


def test_scaled_timers_are_told(record: Record, claim_of: ClaimOf) -> None:
    """A lab that notices sooner than a cluster would says so beside the times."""
    record.target["is_lab"] = True
    record.settings["lab_timers"]["node_grace_seconds"] = 4.0
    assert "timers: node grace 4 s (ordinarily 50)" in claim_of(record, RECOVERY).reason


def test_unfenced_machine_that_stays_down_is_the_documented_behaviour(record: Record, claim_of: ClaimOf) -> None:
    """Without fencing nothing is restarted before the node returns, and the certificate says so in words."""
    bad.then(STAYS_DOWN, bad.back_in_place)(record)
    claim = claim_of(record, RECOVERY)
    assert claim.verdict is Verdict.PASS
    told = next(part.reason for part in claim.parts if "not restarted" in part.object)
    assert told == "not restarted: nobody fenced node node-b; this is KubeVirt's documented behaviour"


def test_refused_writes_pass(record: Record, claim_of: ClaimOf) -> None:
    """A minority whose every write was refused until the fault's end was ordered passes."""
    bad.then(REFUSES, bad.healed(together=[{"lasted": True, "ordered_ns": at(19.8)}]))(record)
    told = next(part for part in claim_of(record, MEMBERSHIP).parts if part.object.startswith("writes to"))
    assert (told.verdict, told.reason[:8]) == (Verdict.PASS, "none of ")


def test_broken_watches_are_excused_where_the_api_was_away(record: Record, claim_of: ClaimOf) -> None:
    """A watch that broke because the fault took the API away is excused by machines that are as they were."""
    bad.then(bad.api_away, bad.seen_again)(record)
    assert claim_of(record, PLACEMENT).verdict is Verdict.PASS


def test_pauses_at_different_times_pass(record: Record, claim_of: ClaimOf) -> None:
    """A machine may pause while all others are there."""
    bad.pause_in_peace(record)
    assert claim_of(record, QUORUM).verdict is Verdict.PASS


def test_migration_that_was_seen_and_counted_agrees(record: Record, claim_of: ClaimOf) -> None:
    """A migration of which the watch and KubeVirt's metrics tell the same is no contradiction."""
    bad.then(bad.seen_migration("Succeeded"), bad.counted_migration)(record)
    claim = claim_of(record, AGREEMENT)
    assert (claim.verdict, claim.reason) == (Verdict.PASS, claim.reason)


def test_machine_may_be_lost_for_most_of_a_run(record: Record, claim_of: ClaimOf) -> None:
    """Who was away for most of the window is asked only for the operations of the rest."""
    record.settings["load"]["new_connection_rate"] = 10.0
    rows = record.samples[f"http-new/{LOST}"]
    rows[:] = [row for row in rows if not at(BEGUN) <= row[1] < at(BACK + 3)]
    scrape_again(record)
    claim = claim_of(record, SURVIVES)
    assert (claim.verdict, claim.reason) == (Verdict.PASS, claim.reason)


def test_whole_outage_may_be_expected(record: Record, claim_of: ClaimOf) -> None:
    """A service that was to be away altogether may be silent until the fault has healed, not before or after."""
    for stream in ("http-new/portal-a", "http-new/portal-c", "http-new/vip", "sql/portal-a"):
        bad.failing(stream, 8, 20)(record)
    assert claim_of(record, SURVIVES).verdict is Verdict.FAIL
    bad.expected(outage=True)(record)
    assert claim_of(record, SURVIVES).verdict is Verdict.PASS


def test_case_without_a_loss_has_nothing_to_recover(record: Record, claim_of: ClaimOf) -> None:
    """A fault that takes no machine away leaves nothing that has to come back."""
    bad.expected(lost=(), restarted=(), expelled=())(record)
    claim = claim_of(record, RECOVERY)
    assert (claim.verdict, claim.parts[0].reason) == (Verdict.PASS, "no fault was to take one away")


def test_drains_and_faults_share_their_numbers(record: Record, tmp_path: Path) -> None:
    """The window ends with the settling after the last of all drains and faults."""
    record.event(-60, "run", "phase", phase="drain/2", state="begin")
    evidence = Evidence.of(record.write(tmp_path / "run-1"))
    assert (evidence.kind, [fault.phase for fault in evidence.faults]) == (UNPLANNED, ["fault/1"])
    assert evidence.window.incomplete == "the run ended before all was steady again after drain/2"


def test_older_record_is_judged_as_it_was(tmp_path: Path) -> None:
    """A record without faults and without a watch of the membership has none of their claims."""
    case = good_record().write(tmp_path / "run-1")
    assert (Evidence.of(case).kind, Evidence.of(case).faults) == (PLANNED, ())
    of_faults = {PROVED, SURVIVES, RECOVERY, QUORUM, MEMBERSHIP, AGREEMENT}
    assert not {claim.id for claim in conclude(case).claims} & of_faults


def test_blind_membership_leaves_its_claims_unknown(record: Record, judged: Judge) -> None:
    """Without anybody who asked the members, nothing that needs their word is certified."""
    record.events = [event for event in record.events if event["source"] != "membership"]
    verdicts = {claim.id: claim.verdict for claim in judged(record).claims}
    assert {verdicts[name] for name in (QUORUM, MEMBERSHIP, AGREEMENT)} == {Verdict.UNKNOWN}
    assert Verdict.FAIL not in verdicts.values()


def test_planned_case_that_was_watched_has_its_margin(judged: Judge) -> None:
    """Where the membership was meant to be watched and was not, a planned case is unknown too."""
    record = good_record()
    record.event(-4, "observer", "ended", "membership", code=1)
    verdicts = {claim.id: claim.verdict for claim in judged(record).claims}
    assert (verdicts[QUORUM], verdicts[AGREEMENT]) == (Verdict.UNKNOWN, Verdict.UNKNOWN)
    assert verdicts["continuity.requests"] is Verdict.PASS


def test_a_departure_is_counted_once(record: Record, tmp_path: Path) -> None:
    """A member that tells of its being outside, of its return, and of the transfer that brought it back, left once."""
    state(record, 19.2, LOST, cluster_status="non-Primary")
    evidence = Evidence.of(record.write(tmp_path / "run-1"))
    assert list(departures(evidence, LOST)) == [Span(at(19.2), at(19.2))]


def test_a_departure_that_only_the_return_tells_of_lies_in_the_absence(record: Record, tmp_path: Path) -> None:
    """A fault explains it although its return is told after all was whole again."""
    (join,) = record.found("membership", "join")
    join["data"]["seconds"] = 5.0
    evidence = Evidence.of(record.write(tmp_path / "run-1"))
    (left,) = departures(evidence, LOST)
    assert left == Span(join["t_ns"] - 5 * 10**9, join["t_ns"])


def test_a_departure_lies_where_the_absence_did_however_late_it_is_told(record: Record, tmp_path: Path) -> None:
    """How a member came back may take several tries to find out."""
    (join,) = record.found("membership", "join")
    join["data"] |= {"since_ns": at(8.2), "seconds": 11.6}
    join["t_ns"] = at(27)
    evidence = Evidence.of(record.write(tmp_path / "run-1"))
    assert list(departures(evidence, LOST)) == [Span(at(8.2), at(19.8))]


@pytest.mark.parametrize("spoil", [
    bad.then(bad.silent_member(29), bad.told(31, "portal-a", conf_id=19)), bad.joined(33, 1.0, since_ns=at(31)),
    bad.told(31, "portal-a", **OUT),
])
def test_what_happens_after_the_window_is_not_judged(record: Record, claim_of: ClaimOf, spoil: Spoil) -> None:
    """A look that failed at its end is no departure if the member then tells that all is well; nor is a later one."""
    spoil(record)
    claim = claim_of(record, MEMBERSHIP)
    assert (claim.verdict, claim.reason) == (Verdict.PASS, claim.reason)


def test_a_record_of_an_odd_shape_is_unknown(record: Record, judged: Judge) -> None:
    """Whatever breaks the question of which claims apply, there is a verdict."""
    record.event(9, "migrate", "outcome", "portal/portal-a", vm="portal-a")
    record.found("run", "case")[0]["data"]["kind"] = "planned"
    verdict = judged(record)
    assert "check broke: KeyError" in next(claim.reason for claim in verdict.claims if claim.id == "migration.live")
    assert verdict.verdict is not Verdict.PASS


def test_a_member_that_does_not_answer_is_not_whole(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault reaches until the lost member itself tells that it is back; what it told before counts for nothing."""
    monkeypatch.setattr(members, "NOTICE_SECONDS", 0.0)
    for event in record.found("run", "phase"):
        if (event["data"]["phase"], event["data"]["state"]) == ("fault/1", "end"):
            event["t_ns"] = at(14)
    evidence = Evidence.of(record.write(tmp_path / "run-1"))
    assert at(JOINED + 0.8) <= members.reach(evidence, evidence.faults[0]).end < at(JOINED + 1.5)
