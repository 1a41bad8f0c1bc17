"""A Galera cluster under planned work: its members are migrated and drained, and lose no write."""

from __future__ import annotations

from fixtures.certification import Certification


def test_migration_of_each_member(certification: Certification) -> None:
    """Each Galera member is live-migrated in turn while all of them are written to.

    Preconditions: three members in one primary component, written to through each of them.
    Expected: the component stays whole; every acknowledged write is on every member, and no reader is lied to.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        for machine in portal.machines:
            observation.undergo(observation.faults.migration(machine))
            observation.settle()
        observation.audit()
    certification.conclude()


def test_drain_of_each_member(certification: Certification) -> None:
    """The node under each Galera member is drained in turn while all of them are written to.

    Preconditions: three members in one primary component, never two on a node.
    Expected: the component stays whole; every acknowledged write is on every member, and no reader is lied to.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        for machine in portal.machines:
            observation.drain_node_under(machine)
            observation.settle()
        observation.audit()
    certification.conclude()
