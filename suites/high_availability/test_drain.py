"""A replicated service in virtual machines outlives the maintenance of the nodes under it."""

from __future__ import annotations

import pytest

from fixtures.certification import Certification


def test_drain_of_every_node(certification: Certification) -> None:
    """A patient portal on three virtual machines serves without a gap while each node under them is drained in turn.

    Preconditions: one Galera member and web server per virtual machine, never two on a node, on shared disks.
    Expected: each machine is live-migrated once; no client is refused, none waits beyond the limit, no write is lost.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        for machine in portal.machines:
            observation.drain_node_under(machine)
            observation.settle()
        observation.audit()
    certification.conclude()


def test_rolling_drain_of_all_nodes(certification: Certification) -> None:
    """A patient portal serves while all nodes are drained one after the other, and its error budget stays unspent.

    Preconditions: one free node, to which the machines of each drained node move on.
    Expected: whoever is on a drained node is live-migrated, one of them twice; no client is refused in the round.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        for node in (*map(observation.node_of, portal.machines), *observation.spare_nodes()):
            observation.drain(node)
            observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
def test_drain_of_two_nodes_at_once(certification: Certification) -> None:
    """Two nodes that are drained at the same time do not take two members of the portal away at once.

    Preconditions: one free node, so that the second machine has to wait until there is a place for it.
    Expected: both machines are live-migrated in the end, never two on a node; no client is refused.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        nodes = map(observation.node_of, portal.machines[:2])
        observation.undergo(observation.faults.drains_at_once(*nodes))
        observation.settle()
        observation.audit()
    certification.conclude()
