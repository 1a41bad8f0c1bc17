"""Live migrations as their users start them: one, many, in a row, within limits, cancelled and refused."""

from __future__ import annotations

import pytest

from drainproof.api import MIGRATION_POLICIES
from fixtures.certification import Certification

BETWEEN_ROUNDS_SECONDS = 5
"""Longer than the settings' stream gaps, so that each gap belongs to one migration and is judged as that one's."""


def test_each_machine_migrates(certification: Certification) -> None:
    """Each virtual machine of a patient portal is live-migrated in turn, and no client notices.

    Preconditions: one Galera member and web server per virtual machine, never two on a node, on shared disks.
    Expected: each migration succeeds as the same instance; no client is refused, no write is lost.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        for machine in portal.machines:
            observation.undergo(observation.faults.migration(machine))
            observation.settle()
        observation.audit()
    certification.conclude()


def test_ping_pong(certification: Certification) -> None:
    """A virtual machine that is migrated three times in a row serves all along.

    Preconditions: a free node beside those of the portal's machines; a rest of 5 s between the rounds.
    Expected: every one of the migrations succeeds, the later ones as the first; no client is refused.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        machine = portal.machines[0]
        observation.undergo(observation.faults.migration(machine, rounds=3, rest_seconds=BETWEEN_ROUNDS_SECONDS))
        observation.settle()
        observation.audit()
    certification.conclude()


def test_migrations_at_the_same_time(certification: Certification) -> None:
    """All virtual machines are asked to migrate at once, and the cluster's limits keep them from harming each other.

    Preconditions: fewer free nodes than machines, so that some have to wait for the place of another.
    Expected: all migrations succeed in the end, never two machines on a node; no client is refused.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        observation.undergo(observation.faults.migration(*portal.machines))
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.needs(MIGRATION_POLICIES)
def test_a_policy_limits_the_bandwidth(certification: Certification) -> None:
    """A migration that a policy slows down takes longer, and clients notice it no more than a fast one.

    Preconditions: the machines' memory takes about ten seconds at the policy's bandwidth.
    Expected: the migration names the policy and succeeds; no client is refused.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        policy = observation.faults.migration_policy(bandwidth="32Mi")
        observation.undergo(observation.faults.migration(portal.machines[1], policy=policy))
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
@pytest.mark.needs(MIGRATION_POLICIES)
def test_a_cancelled_migration_harms_nobody(certification: Certification) -> None:
    """A migration that is cancelled while it moves data leaves the machine where it was, serving.

    Preconditions: a policy slows the migration down, so that it is under way when it is cancelled.
    Expected: the migration fails as cancelled, the same instance serves on; a later migration succeeds.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        machine, slowly = portal.machines[0], observation.faults.migration_policy(bandwidth="16Mi")
        cancelled = observation.faults.migration(machine, policy=slowly, cancel_after_seconds=2.0, ends="Failed")
        observation.undergo(cancelled)
        observation.settle()
        observation.undergo(observation.faults.migration(machine))
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
def test_a_target_that_refuses(certification: Certification) -> None:
    """A migration to a node that is not there is given up, and the machine serves on where it is.

    Preconditions: the migration asks for a node with a label that no node has.
    Expected: its target pod finds no node and the migration fails; clients notice nothing.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        nowhere = {"drainproof.dev/nowhere": "true"}
        observation.undergo(observation.faults.migration(
            portal.machines[2], node_selector=nowhere, unschedulable_seconds=10, ends="Failed",
        ))
        observation.settle()
        observation.audit()
    certification.conclude()
