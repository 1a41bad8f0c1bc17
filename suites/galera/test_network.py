"""A Galera cluster on a network that splits, slows down and loses packets between its members."""

from __future__ import annotations

import pytest

from drainproof.api import NETWORK_CHAOS
from drainproof.expectation import Expectation
from fixtures.certification import Certification

pytestmark = [pytest.mark.unplanned, pytest.mark.needs(NETWORK_CHAOS)]
PARTED_SECONDS = 25.0
"""Long enough for the minority to find out, and for clients to try many writes at it after that."""


def test_a_minority_is_cut_off(certification: Certification) -> None:
    """A member that is cut off from the two others refuses writes, while they go on; it comes back and is whole.

    Preconditions: three members; clients reach all of them all the time, also the one that is cut off.
    Expected: the minority accepts no write, so that nothing has to be undone; all members are identical in the end.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        cut, name = portal.machines[2], (portal.machines[2].name,)
        partition = observation.faults.partition(cut, seconds=certification.profile.budgets.fault)
        with observation.under(partition, Expectation(lost=name, expelled=name, refuses_writes=name)):
            observation.meanwhile(PARTED_SECONDS)
        observation.settle()
        observation.audit()
    certification.conclude()


def test_nobody_has_a_majority(certification: Certification) -> None:
    """When every member is cut off from every other, none accepts writes; together again, they form one cluster.

    Preconditions: three members, no two of which reach each other, as when their switch fails.
    Expected: the database is away as long as that lasts, no member goes on alone; nothing acknowledged is lost.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, names = observation.faults, portal.plan.names
        seconds, (first, second, third) = certification.profile.budgets.fault, portal.machines
        parted = faults.together(
            faults.partition(first, seconds=seconds), faults.partition(second, others=[third], seconds=seconds)
        )
        with observation.under(
            parted, Expectation(lost=names, expelled=names, refuses_writes=names, outage=True)
        ):
            observation.meanwhile(PARTED_SECONDS)
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_slow_network(certification: Certification) -> None:
    """A member that is 50 ms away from the others slows their writes down, and stays a member.

    Preconditions: the delay is far below Galera's time-outs.
    Expected: no member leaves, no write fails; each takes longer by the way to the slow member and back.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        slow = observation.faults.delay(portal.machines[1], seconds=certification.profile.budgets.fault, latency_ms=50)
        with observation.under(slow, Expectation()):
            observation.meanwhile(PARTED_SECONDS)
        observation.settle()
        observation.audit()
    certification.conclude()


def test_a_lossy_network(certification: Certification) -> None:
    """A member that loses a twentieth of the packets between it and the others stays a member, and loses no write.

    Preconditions: lost packets are sent again within Galera's time-outs.
    Expected: no write is lost, the members are identical; the lossy one may leave for a while.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        name = (portal.machines[0].name,)
        lossy = observation.faults.loss(portal.machines[0], seconds=certification.profile.budgets.fault, percent=5.0)
        with observation.under(lossy, Expectation(may_be_expelled=name)):
            observation.meanwhile(PARTED_SECONDS)
        observation.settle()
        observation.audit()
    certification.conclude()
