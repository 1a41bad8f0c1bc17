"""Certificates of faults must be able to fail: what a fault does not explain is found, what is hidden is unknown."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from drainproof.api import PODS
from drainproof.errors import DrainproofError
from drainproof.expectation import Expectation
from drainproof.vm import LAUNCHER, NAME_LABEL
from drainproof.wait import Deadline, pause
from fixtures.certification import Certification
from fixtures.observation import Observation
from fixtures.observers import Observer
from reports.verdict import Verdict
from scenarios.fault import Proof
from scenarios.power import PowerDriver
from tests.lab.conftest import claim
from tests.lab.lab_access import paused_through_qmp

pytestmark = [pytest.mark.timeout(600), pytest.mark.unplanned]
SILENCE_SECONDS = 10.0
"""Longer than Galera waits for a silent member (5 s) and then takes to agree on who is left (2 s here)."""


@dataclass(frozen=True)
class Refusing:
    """A fault that does not happen."""

    kind = "nothing"
    target = "portal-0"

    def inject(self, deadline: Deadline) -> Proof:
        raise DrainproofError("it would not happen")

    def heal(self, deadline: Deadline) -> Proof:
        return {}


def test_what_no_fault_explains_fails(certification: Certification) -> None:
    """A second member is paused behind the back of a fault, and a migration ends otherwise than expected.

    The third is left alone then: it is no majority, and leaves the primary component, which no fault explains.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, (left_alone, first, second) = observation.faults, portal.machines
        observation.undergo(faults.migration(first), Expectation(moved={first.name: "Failed"}))
        observation.settle()
        expects = Expectation(lost=(first.name,), expelled=(first.name,))
        with (
            observation.under(faults.guest_pause(first, SILENCE_SECONDS), expects),
            paused_through_qmp(certification, second.name),
        ):
            pause(SILENCE_SECONDS, Deadline(60))
        observation.settle()
        observation.audit()
    verdict = certification.judge()
    for claim_id, named in (
        ("migration.outcome", first.name), ("service.survives", second.name), ("quorum.margin", left_alone.name),
        ("galera.membership", left_alone.name),
    ):
        found = claim(verdict, claim_id)
        assert found.verdict is Verdict.FAIL, f"{claim_id}: {found.reason}"
        assert any(named in part.object for part in found.parts if part.verdict is Verdict.FAIL), found.parts
    assert claim(verdict, "faults.proved").verdict is Verdict.PASS


def test_a_machine_restarted_without_fencing_fails(certification: Certification, power: PowerDriver) -> None:
    """Somebody removes the pod of a lost node by force, and its machine starts elsewhere, safe or not."""
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        machine = portal.machines[0]
        node = observation.node_of(machine)
        loss = observation.faults.node_loss(node, power)
        with observation.under(loss, observation.lost_with(node, restarted=False)):
            observation.meanwhile(certification.seconds_until_eviction())
            labels = f"{LAUNCHER},{NAME_LABEL}={machine.name}"
            for pod in certification.cluster.items(PODS, machine.namespace, labels=labels):
                certification.cluster.delete(PODS, pod["metadata"]["name"], machine.namespace, grace_seconds=0)
            machine.wait_ready(Deadline(certification.profile.budgets.recover))
        observation.settle()
        observation.audit()
    found = claim(certification.judge(), "recovery.times")
    assert found.verdict is Verdict.FAIL, found.reason
    assert f"although nobody fenced node {node}" in found.reason + " ".join(part.reason for part in found.parts)


def test_blinded_observers_and_an_unproved_fault_are_unknown(certification: Certification) -> None:
    """Who watches the members, and who keeps the history, is stopped during a fault; another fault never happens."""
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        machine = portal.machines[1]
        with suppress(DrainproofError):
            observation.undergo(Refusing(), Expectation())
        observation.settle()
        with (
            observation.under(observation.faults.guest_pause(machine, 1.0), Expectation(lost=(machine.name,))),
            _stopped(observation, "membership", "historian"),
        ):
            observation.meanwhile(15.0)
        observation.settle()
        observation.audit()
    verdict = certification.judge()
    for claim_id in (
        "faults.proved", "galera.membership", "quorum.margin", "consistency.append", "consistency.bank",
        "consistency.set", "consistency.session",
    ):
        assert claim(verdict, claim_id).verdict is Verdict.UNKNOWN, f"{claim_id}: {claim(verdict, claim_id).reason}"
    assert "it would not happen" in claim(verdict, "faults.proved").reason
    assert verdict.verdict is not Verdict.PASS


@contextmanager
def _stopped(observation: Observation, *names: str) -> Iterator[None]:
    running = [one for one in observation.observers.running if isinstance(one, Observer)]
    pids = [one.process.pid for one in running if one.name in names]
    assert len(pids) == len(names)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
