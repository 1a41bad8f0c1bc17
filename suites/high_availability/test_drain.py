"""A replicated service in virtual machines outlives the maintenance of the nodes under it."""

from __future__ import annotations

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
