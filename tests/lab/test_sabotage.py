"""A certificate must be able to fail: each sabotage of a real run gets the verdict it deserves, for its reason."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drainproof.clock import SystemClock
from drainproof.errors import CannotRunError
from drainproof.record import Case
from drainproof.wait import Deadline, pause
from fixtures.certification import Certification
from fixtures.observation import WRITERS, Observation
from fixtures.observers import Observer
from reports.judge import judge
from reports.verdict import CaseVerdict, Verdict
from tests.lab.conftest import claim, sql
from tests.lab.lab_access import paused_through_qmp, without_prometheus

pytestmark = pytest.mark.timeout(600)
SILENCE_SECONDS = 3.0
HERE_ONLY = "SET SESSION wsrep_on = OFF"


@dataclass(frozen=True)
class Tampering:
    """What is done to the tables at one member, and the claim that has to fail for it."""

    name: str
    vm: str
    statements: tuple[str, ...]
    claim_id: str
    named: str = ""
    """What its reason has to name."""


TAMPERINGS = (
    Tampering("lost-row", "portal-0", ("DELETE FROM ledger ORDER BY id LIMIT 1",), "ledger.complete", "acknowledged"),
    Tampering(
        "changed-row", "portal-2", (HERE_ONLY, "UPDATE doctors SET name = 'nobody' ORDER BY id LIMIT 1"),
        "ledger.complete", "doctors",
    ),
    Tampering("lost-element", "portal-1", ("DELETE FROM elements ORDER BY id LIMIT 1",), "consistency.set"),
    Tampering(
        "changed-balance", "portal-0", (HERE_ONLY, "UPDATE accounts SET balance = balance + 1 ORDER BY id LIMIT 1"),
        "consistency.bank",
    ),
    Tampering("emptied-list", "portal-1", ("UPDATE lists SET content = '' ORDER BY id LIMIT 1",), "consistency.append"),
    Tampering("older-version", "portal-2", ("UPDATE registers SET version = 0",), "consistency.session"),
)


def test_an_eviction_that_restarts_the_machine_fails(certification: Certification) -> None:
    """With evictionStrategy None the machine is restarted elsewhere: another boot, failed requests."""
    certification.plan = replace(certification.plan, eviction_strategy="None")
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        observation.drain_node_under(portal.machines[2])
        observation.settle()
        observation.audit()
    verdict = certification.judge()
    assert verdict.verdict is Verdict.FAIL
    migrated = claim(verdict, "migration.live")
    assert migrated.verdict is Verdict.FAIL
    assert "portal-2" in migrated.reason
    requests = claim(verdict, "continuity.requests")
    assert requests.verdict is Verdict.FAIL
    assert "portal-2" in requests.reason


def test_a_disk_of_one_node_is_refused_before_anything_is_drained(certification: Certification) -> None:
    """A machine on a ReadWriteOnce disk cannot be live-migrated: the drain is refused, with the cluster's reason."""
    local = certification.target.storage_classes.local
    certification.plan = replace(certification.plan, storage_class=local, access_mode="ReadWriteOnce")
    why = r"portal-0 cannot be live-migrated \(DisksNotLiveMigratable.*ReadWriteMany"
    with (
        pytest.raises(CannotRunError, match=why),
        certification.portal() as portal,
        certification.observed(portal) as observation,
    ):
        observation.baseline()
    assert certification.judge().verdict is not Verdict.PASS


def test_machines_that_share_a_node_fail_the_placement(certification: Certification) -> None:
    """Without anti-affinity and on two nodes, two machines share one."""
    certification.plan = replace(certification.plan, anti_affinity=False, nodes=("node-a", "node-b"))
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
    placement = claim(certification.judge(), "placement.separate-nodes")
    assert placement.verdict is Verdict.FAIL
    assert "portal-" in placement.reason
    assert "node-" in placement.reason


def test_tampered_tables_and_a_paused_guest_fail(certification: Certification) -> None:
    """A guest paused for 3 s is measured; a lost acknowledged row and a changed one are found, each for itself."""
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        with certification.phase("drain/0"), paused_through_qmp(certification, "portal-1"):
            pause(SILENCE_SECONDS, Deadline(60))
        with certification.phase("settle/0"):
            pause(8, Deadline(60))
        observation.observers.stop(WRITERS)
        tampered = [(one, _audited(observation, one.name, one.vm, *one.statements)) for one in TAMPERINGS]
    _judge_pause(certification.judge())
    for one, directory in tampered:
        for name in ("samples.parquet", "metrics.json"):
            shutil.copy(certification.case.directory / name, directory / name)
        with closing(Case(directory)) as case:
            case.merge_history()
        found = claim(judge(directory), one.claim_id)
        assert found.verdict is Verdict.FAIL, f"{one.name}: {found.reason}"
        assert one.named in found.reason + " ".join(f"{part.object} {part.reason}" for part in found.parts)


def _audited(observation: Observation, name: str, vm: str, *statements: str) -> Path:
    """Tamper, audit, and keep the case with that audit under another name."""
    sql(observation, vm, *statements)
    observation.audit()
    original = observation.certification.case.directory
    return Path(shutil.copytree(original, original.with_name(name)))


def _judge_pause(verdict: CaseVerdict) -> None:
    requests = claim(verdict, "continuity.requests")
    assert requests.verdict is Verdict.FAIL, requests.reason
    gaps = {part.object: part.measured or 0 for part in requests.parts}
    for stream, period in (("http-new/portal-1", 0.2), ("http-reused/portal-1", 0.1)):
        # A gap lies between two answers: it is longer than the silence by up to the stream's period.
        assert -0.2 <= gaps[stream] - SILENCE_SECONDS <= 0.2 + period, f"{stream}: {gaps[stream]}"
    assert gaps["sql/portal-1"] > verdict.limits["sql_gap_seconds"]


def test_dead_prometheus_and_stalled_probe_are_unknown(certification: Certification) -> None:
    """Without Prometheus claims 4 and 5 are unknown; a probe that was stopped for 3 s accuses nobody."""
    with ExitStack() as sabotage:
        with certification.portal() as portal, certification.observed(portal) as observation:
            observation.baseline()
            with certification.phase("drain/0"):
                _stop_probe(observation, SILENCE_SECONDS)
                sabotage.enter_context(without_prometheus(certification))
            with certification.phase("settle/0"):
                pause(5, Deadline(60))
            observation.audit()
        verdict = certification.judge()
    for claim_id in ("prometheus.load", "prometheus.cluster", "galera.steady", "continuity.requests"):
        assert claim(verdict, claim_id).verdict is Verdict.UNKNOWN, claim(verdict, claim_id).reason
    assert "stall" in claim(verdict, "continuity.requests").reason
    assert claim(verdict, "ledger.complete").verdict is Verdict.PASS
    assert verdict.verdict is not Verdict.PASS


def _stop_probe(observation: Observation, seconds: float) -> None:
    probe = next(one for one in observation.observers.running if one.name == "probe")
    assert isinstance(probe, Observer)
    os.kill(probe.process.pid, signal.SIGSTOP)
    try:
        SystemClock().sleep(seconds)
    finally:
        os.kill(probe.process.pid, signal.SIGCONT)
