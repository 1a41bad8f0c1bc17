"""The stopwatch's claims are seen to pass, to fail and to be unknown; an instrument that was blind never passes."""

from __future__ import annotations

import pytest

from reports.verdict import Claim, Part, Verdict
from tests.unit.reports import stopwatch_spoils as spoils
from tests.unit.reports.conftest import ClaimOf, Judge
from tests.unit.reports.records import Record
from tests.unit.reports.spoils import Spoil, break_query, without
from tests.unit.reports.stopwatch_records import NETWORK, STALL
from tests.unit.reports.timeline import STOPPED, VMS, at, pause_of

UDP, HEARTBEAT, TCP_KEPT, TCP_NEW = "outage.udp", "outage.heartbeat", "outage.tcp-kept", "outage.tcp-new"
OUTAGES = (UDP, HEARTBEAT, TCP_KEPT, TCP_NEW)
CONTROL, PHASES, LOAD = "instrument.control", "downtime.phases", "prometheus.load"

FAILS: list[tuple[str, Spoil, str]] = [
    (UDP, spoils.lose("udp/portal-b", 12, 2.5), "udp/portal-b: down for 2487.6 to 2510."),
    (UDP, spoils.hold("udp/portal-b", 12, 2.5), "udp/portal-b: down for 249"),
    (UDP, spoils.lose("udp/portal-b@node-a", 12, 2.5), "udp/portal-b@node-a: down for 24"),
    (HEARTBEAT, spoils.lose("heartbeat/portal-b", 12, 2.5), "heartbeat/portal-b: down for 24"),
    (TCP_KEPT, spoils.hold("tcp-kept/portal-b", 12, 2.5), "tcp-kept/portal-b: down for 24"),
    (TCP_KEPT, spoils.lose("tcp-kept/portal-b", 12, 2.5), "tcp-kept/portal-b: down for 24"),
    (TCP_NEW, spoils.lose("tcp-new/vip", 12, 2.5), "tcp-new/vip: down for 24"),
    (TCP_NEW, spoils.lose("tcp-new/portal-b", 12, 2.5), "tcp-new/portal-b: down for 24"),
    (TCP_NEW, spoils.hold("tcp-new/portal-b", 12, 2.5), "tcp-new/portal-b: down for 2"),
    (UDP, spoils.answer_in_an_hour, "udp/portal-b: down for 24"),
]

UNKNOWNS: list[tuple[str, Spoil, str]] = [
    (UDP, spoils.allow(outage_seconds=0.18), "which the limit of 0.18 s lies in"),
    (HEARTBEAT, spoils.allow(outage_seconds=0.18), "which the limit of 0.18 s lies in"),
    (TCP_KEPT, spoils.allow(outage_seconds=0.215), "which the limit of 0.215 s lies in"),
    (TCP_NEW, spoils.allow(outage_seconds=0.18), "which the limit of 0.18 s lies in"),
    *((claim, spoils.nap(), "the stopwatch itself was away for 20.") for claim in OUTAGES),
    (UDP, spoils.nap("node-a"), "udp/portal-b@node-a: the stopwatch itself was away for 20."),
    (UDP, spoils.sleep, "for 2.2"),
    (HEARTBEAT, spoils.sleep, "nothing was answered that could have accused or acquitted"),
    (UDP, spoils.forget("udp/portal-b"), "samples.parquet has no stream udp/portal-b"),
    (UDP, spoils.forget("udp/portal-b@node-a"), "samples.parquet has no stream udp/portal-b@node-a"),
    (HEARTBEAT, spoils.forget("heartbeat/portal-b"), "has no stream heartbeat/portal-b"),
    (TCP_KEPT, spoils.forget("tcp-kept/portal-b"), "has no stream tcp-kept/portal-b"),
    (TCP_NEW, spoils.forget("tcp-new/vip"), "has no stream tcp-new/vip"),
    (UDP, spoils.shorten_baseline("udp/portal-b"), "udp/portal-b: the baseline has 10 answers"),
    (HEARTBEAT, spoils.shorten_baseline("heartbeat/portal-b"), "heartbeat/portal-b: the baseline has 4 pairs"),
    (TCP_KEPT, spoils.shorten_baseline("tcp-kept/portal-b"), "tcp-kept/portal-b: the baseline has 2 answers"),
    (TCP_NEW, spoils.shorten_baseline("tcp-new/portal-b"), "tcp-new/portal-b: the baseline has "),
    (CONTROL, spoils.shorten_baseline("control/client", 0.05), "control/client: the baseline has "),
    (UDP, spoils.lose_some("udp/portal-b"), "probes of the undisturbed baseline were lost"),
    (TCP_KEPT, spoils.lose_some("tcp-kept/portal-b"), "probes of the undisturbed baseline were lost"),
    (TCP_NEW, spoils.lose_some("tcp-new/vip"), "probes of the undisturbed baseline were lost"),
    (CONTROL, spoils.lose_some("control/client"), "probes of the undisturbed baseline were lost"),
    *((claim, spoils.die, "the stopwatch itself was away for 33.") for claim in OUTAGES),
    (LOAD, spoils.die, "Prometheus has nothing for 10."),
    (CONTROL, spoils.die, "the stopwatch ended with code -9"),
    (CONTROL, without("stopwatch", "stop"), "the stopwatch never told that it stopped"),
    (CONTROL, spoils.lose_rows, "7 samples are missing: the stopwatch took"),
    (CONTROL, without("stopwatch", "start"), "no start of a stopwatch with a control stream"),
    (CONTROL, spoils.go_blind, "control/client: 10 of 10 known blackouts were not found"),
    (CONTROL, spoils.miss_one, "control/client: 1 of 10 known blackouts were not found"),
    (CONTROL, spoils.misjudge, "a known blackout was measured wrong by "),
    (CONTROL, spoils.be_late_always, "of 10 known blackouts none fell into a time"),
    (CONTROL, without("stopwatch", "control-blackout"), "known blackouts"),
    (CONTROL, spoils.stop_injecting, "known blackouts"),
    (CONTROL, spoils.kill_responder, "known blackouts"),
    (CONTROL, spoils.forget("control/client"), "samples.parquet has no stream control/client"),
    (CONTROL, spoils.forget("away/client"), "samples.parquet has no away/client"),
    *((claim, spoils.forget("away/client"), "samples.parquet has no away/client") for claim in OUTAGES),
    *((claim, spoils.forget("control/client"), "samples.parquet has no stream control/client") for claim in OUTAGES),
    (UDP, spoils.kill_responder, "the stopwatch itself was away for 50."),
    (UDP, spoils.fail_beyond(2.5), "nothing was answered that could have accused or acquitted"),
    (PHASES, without("hypervisor", "downtime"), "the hypervisor did not tell how long the guest paused"),
    (PHASES, spoils.see_no_pause(), "the guest paused for 145.0 ms, yet udp/portal-a shows no outage then"),
    (PHASES, spoils.see_no_pause(0.1), "yet udp/portal-a was down for 9"),
    (PHASES, spoils.forget("udp/portal-a"), "what udp/portal-a saw cannot be judged"),
    (PHASES, spoils.pause_backwards, "the hypervisor did not tell how long the guest paused"),
    (PHASES, spoils.move_nothing, "no migration whose downtime could be told"),
    (LOAD, break_query("void"), "the query 'void' to Prometheus failed"),
    (LOAD, spoils.export_other_void, "void time at outside: exported 1."),
    (LOAD, spoils.export_nothing, "the query 'void' returned no series"),
]


def part_of(claim: Claim, name: str) -> Part:
    return next(part for part in claim.parts if part.object == name)


def fact(claim: Claim, stream: str, name: str) -> float:
    value = part_of(claim, stream).facts[name]
    assert isinstance(value, float | int)
    return value


@pytest.mark.parametrize(("claim_id", "spoil", "reason"), FAILS)
def test_claim_fails(record: Record, claim_of: ClaimOf, claim_id: str, spoil: Spoil, reason: str) -> None:
    """An outage that was certainly longer than the limit fails, with its bounds and from where it was seen."""
    spoil(record)
    claim = claim_of(record, claim_id)
    assert (claim.verdict, claim.reason) == (Verdict.FAIL, claim.reason)
    assert reason in claim.reason


@pytest.mark.parametrize(("claim_id", "spoil", "reason"), UNKNOWNS)
def test_claim_is_unknown(record: Record, claim_of: ClaimOf, claim_id: str, spoil: Spoil, reason: str) -> None:
    """A claim whose instrument could not know is unknown and says why."""
    spoil(record)
    claim = claim_of(record, claim_id)
    assert (claim.verdict, claim.reason) == (Verdict.UNKNOWN, claim.reason)
    assert reason in claim.reason


@pytest.mark.parametrize(
    ("claim_id", "stream", "truth"),
    [
        (UDP, "udp/portal-a", STOPPED + NETWORK),
        (HEARTBEAT, "heartbeat/portal-b", STOPPED + NETWORK),
        (TCP_KEPT, "tcp-kept/portal-c", STALL),
        (TCP_NEW, "tcp-new/portal-a", STOPPED + NETWORK),
        (UDP, "udp/portal-b@node-a", STOPPED + NETWORK),
    ],
)
def test_the_interval_holds_the_outage(
    record: Record, claim_of: ClaimOf, claim_id: str, stream: str, truth: float
) -> None:
    """With a limit just beside the truth nothing fails that held, and nothing passes that did not."""
    assert fact(claim_of(record, claim_id), stream, "outages") == 1
    for limit, wrong in ((truth + 0.0005, Verdict.FAIL), (truth - 0.0005, Verdict.PASS)):
        spoils.allow(outage_seconds=limit)(record)
        assert part_of(claim_of(record, claim_id), stream).verdict is not wrong


def test_a_paused_guest_s_clock_stood_still(record: Record, claim_of: ClaimOf) -> None:
    """The heartbeat tells the pause, which is shorter than the silence."""
    told = str(part_of(claim_of(record, HEARTBEAT), "heartbeat/portal-a").facts["longest"])
    assert "guest's clock stood for 145." in told or "guest's clock stood for 144." in told


def test_a_pass_is_never_a_bare_zero(record: Record, claim_of: ClaimOf) -> None:
    """A stream without any outage states from which length on one was seen, and what can have hidden."""
    claim = claim_of(record, TCP_NEW)
    assert "no outage of 80.0 ms or more; none hid that was longer than" in part_of(claim, "tcp-new/vip").reason
    assert claim.detection_limit == pytest.approx(0.08)
    assert claim.measured is not None
    assert claim.measured > 0


@pytest.mark.parametrize(
    "spoil",
    [
        spoils.blame("udp-drops", "outside"),
        spoils.fail_beyond(0.3),
    ],
)
def test_what_the_client_missed_accuses_nobody(record: Record, claim_of: ClaimOf, spoil: Spoil) -> None:
    """No outage is found in a time in which the kernel dropped answers or the control fell silent; the void shows."""
    before = claim_of(record, UDP)
    spoil(record)
    claim = claim_of(record, UDP)
    assert fact(claim, "udp/portal-b", "outages") == fact(before, "udp/portal-b", "outages") == 1
    assert fact(claim, "udp/portal-b", "neutral") >= 29
    assert fact(claim, "udp/portal-b", "void_ms") - fact(before, "udp/portal-b", "void_ms") > 290
    assert fact(claim, "udp/portal-b", "longest_gap_ms") > 290


@pytest.mark.parametrize(
    "spoil",
    [
        spoils.blame("udp-drops", "node-a"),
        spoils.blame("robbed", steal_ms=20.0, throttled_ms=0.0),
        spoils.blame("robbed", steal_ms=120.0, throttled_ms=0.0),
        spoils.blame("robbed", steal_ms=0.0, throttled_ms=12.0),
        spoils.blame("pressure", some_ms=100.0),
    ],
)
def test_what_did_not_blind_the_client_excuses_nobody(record: Record, claim_of: ClaimOf, spoil: Spoil) -> None:
    """Losses elsewhere, stolen time, and mere waiting for the processor are no excuse for lost echoes."""
    spoil(record)
    assert fact(claim_of(record, UDP), "udp/portal-b", "outages") == 2


def test_an_absence_of_the_client_is_no_outage(record: Record, claim_of: ClaimOf) -> None:
    """The stopwatch was away for 0.4 s: no stream accuses anyone of it, every stream tells the void."""
    record.watched.leave("outside", 12.1, 12.5)
    for claim_id, stream in zip(OUTAGES, ("udp", "heartbeat", "tcp-kept", "tcp-new"), strict=True):
        claim = claim_of(record, claim_id)
        assert claim.verdict is Verdict.PASS
        assert fact(claim, f"{stream}/portal-a", "outages") == 1
        assert fact(claim, f"{stream}/portal-a", "void_ms") >= 400
        assert fact(claim, f"{stream}/portal-a", "longest_gap_ms") >= 380


def test_an_absence_never_shortens_an_outage(record: Record, claim_of: ClaimOf) -> None:
    """An outage of 2.5 s that the stopwatch missed the middle of does not pass."""
    spoils.lose("udp/portal-b", 12.0, 2.5)(record)
    record.watched.leave("outside", 12.5, 14.0)
    claim = claim_of(record, UDP)
    assert claim.verdict is Verdict.UNKNOWN
    assert part_of(claim, "udp/portal-b").measured == pytest.approx(2.5, abs=0.02)


def test_a_late_connection_hides_no_second_outage(record: Record, claim_of: ClaimOf) -> None:
    """A connection that an earlier outage made wait until the second is over is no answer in between."""
    spoils.hide_second(record)
    claim = claim_of(record, TCP_NEW)
    assert fact(claim, "tcp-new/portal-b", "outages") == 3
    assert part_of(claim, "tcp-new/portal-b").measured == pytest.approx(1.7, abs=0.08)


def test_the_phases_add_up(record: Record, claim_of: ClaimOf) -> None:
    """Pause and network are told apart, and what they leave is within the error."""
    claim = claim_of(record, PHASES)
    part = part_of(claim, "portal-b / evacuation-portal-b")
    assert part.facts["pause_ms"] == 145.0
    assert part.facts["network_ms"] == pytest.approx(1000 * NETWORK, abs=25)
    assert abs(fact(claim, part.object, "unexplained_ms")) <= fact(claim, part.object, "error_ms") + 25
    assert part.facts["tcp_recovery_ms"] == pytest.approx(1000 * (STALL - STOPPED - NETWORK), abs=30)
    assert part.facts["tcp_ladder"] == "stalled for 215 ms, retransmits 1, next after 408 ms"


def test_a_pause_too_short_to_see_is_no_contradiction(record: Record, claim_of: ClaimOf) -> None:
    """What lies below the stopwatch's resolution is said to, and certifies no number."""
    spoils.see_no_pause()(record)
    record.found("hypervisor", "downtime")[0]["data"]["resume_ns"] = at(pause_of("portal-a")[0] + 0.012)
    claim = claim_of(record, PHASES)
    part = part_of(claim, "portal-a / evacuation-portal-a")
    assert (part.verdict, part.measured) == (Verdict.PASS, None)
    assert "too short for the stopwatch to see" in part.reason


def test_guests_that_may_not_be_touched(record: Record, judged: Judge) -> None:
    """An agentless certificate claims new connections and the control stream only, with their detection limit."""
    spoils.touch_no_guest(record)
    verdict = judged(record)
    claims = {claim.id: claim for claim in verdict.claims}
    assert [(claim.id, claim.reason) for claim in verdict.claims if claim.verdict != "pass"] == []
    assert set(OUTAGES) & set(claims) == {TCP_NEW}
    assert {CONTROL, PHASES} <= set(claims)
    assert claims[TCP_NEW].detection_limit == pytest.approx(0.08)
    assert all(part.object.split(" ")[0] in VMS for part in claims[PHASES].parts)


def test_an_agent_that_was_not_asked_is_missed(record: Record, judged: Judge) -> None:
    """Without the profile's word for it, streams that nobody sampled are unknown, not left out."""
    spoils.touch_no_guest(record)
    record.settings["load"]["agentless"] = False
    verdicts = {claim.id: claim.verdict for claim in judged(record).claims}
    assert {verdicts[claim] for claim in (UDP, HEARTBEAT, TCP_KEPT, PHASES, LOAD)} == {Verdict.UNKNOWN}
