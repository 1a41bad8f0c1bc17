"""A node loses its power under a replicated service: without fencing, with it, and with an operator that does it."""

from __future__ import annotations

import pytest

from drainproof.api import NODE_HEALTH_CHECKS
from fixtures.certification import Certification
from scenarios.health_check import acting, check_to_act, refuse_unpaused
from scenarios.node_loss import Fence
from scenarios.power import PowerDriver

pytestmark = pytest.mark.unplanned


@pytest.mark.usefixtures("no_operator")
def test_node_loss_without_fencing(certification: Certification, power: PowerDriver) -> None:
    """When a node dies and nobody fences it, its virtual machine is not started elsewhere, and the others serve on.

    Preconditions: the node's power is cut; nothing tells Kubernetes that it is really off, no NodeHealthCheck either.
    Expected: the documented finding: the pod stays Terminating and its machine stays down until the node is back.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        refuse_unpaused(certification.cluster)
        observation.baseline()
        node = observation.node_of(portal.machines[0])
        loss = observation.faults.node_loss(node, power)
        with observation.under(loss, observation.lost_with(node, restarted=False)):
            observation.meanwhile(certification.seconds_until_eviction())
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.usefixtures("no_operator")
def test_node_loss_fenced_by_taint(certification: Certification, power: PowerDriver) -> None:
    """When a node dies and is declared out of service, its virtual machine starts elsewhere and joins the others.

    Preconditions: the node's power controller says Off before the taint is set; no NodeHealthCheck acts.
    Expected: the others serve on within the limits of a failover; the lost member is back, whole, within its time.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        refuse_unpaused(certification.cluster)
        observation.baseline()
        node = observation.node_of(portal.machines[1])
        loss = observation.faults.node_loss(node, power, Fence.TAINT)
        with observation.under(loss, observation.lost_with(node, restarted=True)):
            observation.fence(loss)
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.alone
@pytest.mark.needs(NODE_HEALTH_CHECKS)
def test_node_loss_fenced_by_an_operator(certification: Certification, power: PowerDriver) -> None:
    """When a node dies, a NodeHealthCheck notices and remediates it, and its virtual machine starts elsewhere.

    Preconditions: the operator and a remediation are installed; its check covers the node.
    Expected: nobody but the operator acts; the lost member is back, whole, within its time, and so is the node.
    """
    check_to_act(certification.cluster)
    with (
        certification.portal() as portal,
        acting(certification.cluster, certification.journal),
        certification.observed(portal) as observation,
    ):
        observation.baseline()
        node = observation.node_of(portal.machines[2])
        loss = observation.faults.node_loss(node, power, Fence.OPERATOR)
        with observation.under(loss, observation.lost_with(node, restarted=True)):
            observation.fence(loss)
        observation.settle()
        observation.audit()
    certification.conclude()
