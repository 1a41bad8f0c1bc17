"""A Galera cluster whose members falter: paused, stopped, killed, without room, without data, all gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drainproof.expectation import Expectation
from fixtures.certification import Certification

pytestmark = pytest.mark.unplanned
SMALL_DISK = "512Mi"
"""Holds a member's data, and is filled within a minute."""


@pytest.mark.parametrize("seconds", [1, 4, 8])
def test_a_paused_member(certification: Certification, seconds: int) -> None:
    """A member that stands still is waited for, then suspected, then expelled, as Galera's time-outs say.

    Preconditions: Galera's usual time-outs: a silent member is suspected, and left behind, after 5 s.
    Expected: after 1 s it is a member as before; 4 s may cost it that; after 8 s it is expelled and joins again.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        machine = portal.machines[1]
        name = (machine.name,)
        expects = {
            1: Expectation(lost=name),
            4: Expectation(lost=name, may_be_expelled=name),
            8: Expectation(lost=name, expelled=name),
        }
        observation.undergo(observation.faults.guest_pause(machine, seconds), expects[seconds])
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_stopped_database(certification: Certification) -> None:
    """A member whose database is stopped leaves in good order, and joins again once its guest has started it.

    Preconditions: the guest's supervisor starts the database again.
    Expected: the others go on without it; it comes back with all that was written meanwhile.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        machine = portal.machines[2]
        gone = Expectation(lost=(machine.name,), expelled=(machine.name,))
        observation.undergo(observation.faults.database_stop(machine), gone)
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_killed_launcher(certification: Certification) -> None:
    """A member whose guest dies at once is started anew, and catches up with the others.

    Preconditions: the machine's runStrategy is Always.
    Expected: the others go on within the limits of a failover; the lost member serves again within its time, whole.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        name = (portal.machines[0].name,)
        observation.undergo(
            observation.faults.launcher_kill(portal.machines[0]),
            Expectation(lost=name, restarted=name, expelled=name),
        )
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_full_disk(certification: Certification) -> None:
    """A member whose data disk is full dies of it, and the cluster loses no write.

    Preconditions: the data disk is small enough to be filled within the budget of a fault.
    Expected: the others go on; with a fresh disk the member is back with all that was written.
    """
    certification.plan = replace(certification.plan, data_disk=SMALL_DISK)
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        name = (portal.machines[1].name,)
        observation.undergo(
            observation.faults.disk_full(portal.machines[1]),
            Expectation(lost=name, restarted=name, expelled=name), restarted_by_healing=True,
        )
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_fresh_member_under_load(certification: Certification) -> None:
    """A member that has lost its disk gets all data from another one (SST) while the portal is in use.

    Preconditions: its machine is stopped, its claim replaced by an empty one, its machine started again.
    Expected: the others go on within the limits of a failover; the fresh member serves within its time, identical.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        name = (portal.machines[2].name,)
        observation.undergo(
            observation.faults.fresh_disk(portal.machines[2]),
            Expectation(lost=name, restarted=name, expelled=name),
        )
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_full_outage(certification: Certification) -> None:
    """All members die at once, start anew and form their cluster from the one that is most advanced.

    Preconditions: no member has left in good order, so none is safe to bootstrap by itself.
    Expected: the service is away until the cluster is formed again; what was acknowledged before is on every member.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, names = observation.faults, portal.plan.names
        kills = faults.together(*(faults.launcher_kill(machine) for machine in portal.machines))
        observation.undergo(kills, Expectation(lost=names, restarted=names, expelled=names, outage=True))
        observation.settle()
        observation.audit()
    certification.conclude()
