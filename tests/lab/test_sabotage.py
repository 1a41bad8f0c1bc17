"""A certificate must be able to fail: each sabotage of a real run gets the verdict it deserves, for its reason."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from drainproof.api import NODES
from drainproof.clock import SystemClock
from drainproof.errors import CannotRunError
from drainproof.node import Node, is_schedulable
from drainproof.wait import Deadline, pause, wait
from fixtures.certification import Certification, Observation
from reports.judge import judge
from reports.verdict import CaseVerdict, Verdict
from tests.lab.conftest import claim, sql
from tests.lab.lab_access import paused_through_qmp, without_prometheus

pytestmark = pytest.mark.timeout(600)
SILENCE_SECONDS = 3.0


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
    """Without anti-affinity and with two nodes left, two machines share one."""
    certification.plan = replace(certification.plan, anti_affinity=False)
    spare = [Node(certification.cluster, name) for name in ("node-c", "node-d")]
    for node in spare:
        node.cordon()
    try:
        with certification.portal() as portal, certification.observed(portal) as observation:
            observation.baseline()
        placement = claim(certification.judge(), "placement.separate-nodes")
    finally:
        for node in spare:
            node.uncordon()
            wait(
                f"{node.name} is schedulable", lambda node=node: certification.cluster.get(NODES, node.name),  # type: ignore[misc]
                until=is_schedulable, deadline=Deadline(15),
            )
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
        observation.observers.stop(("ledger", "clinic"))
        lost = _audited(observation, "lost-row", "portal-0", "DELETE FROM ledger ORDER BY id LIMIT 1")
        changed = _audited(
            observation, "changed-row", "portal-2", "SET SESSION wsrep_on = OFF",
            "UPDATE doctors SET name = 'nobody' ORDER BY id LIMIT 1",
        )
    _judge_pause(certification.judge())
    for directory, verdict_of_claim in ((lost, "acknowledged"), (changed, "doctors")):
        for name in ("samples.parquet", "metrics.json"):
            shutil.copy(certification.case.directory / name, directory / name)
        found = claim(judge(directory), "ledger.complete")
        assert found.verdict is Verdict.FAIL, found.reason
        assert verdict_of_claim in found.reason + " ".join(part.reason for part in found.parts)


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
    for claim_id in ("prometheus.load", "galera.steady", "continuity.requests"):
        assert claim(verdict, claim_id).verdict is Verdict.UNKNOWN, claim(verdict, claim_id).reason
    assert "stall" in claim(verdict, "continuity.requests").reason
    assert claim(verdict, "ledger.complete").verdict is Verdict.PASS
    assert verdict.verdict is not Verdict.PASS


def _stop_probe(observation: Observation, seconds: float) -> None:
    probe = next(one for one in observation.observers.running if one.name == "probe")
    os.kill(probe.process.pid, signal.SIGSTOP)
    try:
        SystemClock().sleep(seconds)
    finally:
        os.kill(probe.process.pid, signal.SIGCONT)
