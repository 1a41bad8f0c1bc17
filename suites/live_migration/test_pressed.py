"""Live migrations under pressure: memory that changes faster than the link moves it, and nodes that die meanwhile."""

from __future__ import annotations

import pytest

from drainproof.api import MIGRATION_POLICIES
from drainproof.expectation import Expectation
from fixtures.certification import Certification
from scenarios.node_loss import Fence
from scenarios.power import PowerDriver


@pytest.mark.unplanned
@pytest.mark.needs(MIGRATION_POLICIES)
def test_memory_churn_does_not_converge(certification: Certification) -> None:
    """A machine that rewrites its memory faster than it can be moved stays where it is, and serves.

    Preconditions: a policy's bandwidth below the churn, neither auto-converge nor post-copy, a short time to complete.
    Expected: the migration fails for want of time; the same instance serves on.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, machine = observation.faults, portal.machines[0]
        policy = faults.migration_policy(
            bandwidth="8Mi", auto_converge=False, post_copy=False, completion_seconds_per_gib=30
        )
        with observation.under(faults.churn(machine, mib=64, mib_per_second=32.0), Expectation()):
            observation.undergo(faults.migration(machine, policy=policy, ends="Failed"))
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
@pytest.mark.needs(MIGRATION_POLICIES)
def test_auto_converge_slows_the_guest_until_it_moves(certification: Certification) -> None:
    """A machine that rewrites its memory is moved when its processor may be slowed down for that.

    Preconditions: memory churn, a policy that allows auto-converge.
    Expected: the migration succeeds in pre-copy mode; clients wait no longer than the limit.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, machine = observation.faults, portal.machines[0]
        policy = faults.migration_policy(bandwidth="64Mi", auto_converge=True)
        with observation.under(faults.churn(machine, mib=32, mib_per_second=16.0), Expectation()):
            observation.undergo(faults.migration(machine, policy=policy))
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
@pytest.mark.needs(MIGRATION_POLICIES)
@pytest.mark.usefixtures("post_copy")
def test_post_copy(certification: Certification) -> None:
    """A machine that is moved first, and whose memory follows, serves from where it arrives.

    Preconditions: nodes that can take a guest over in post-copy; a policy that allows it, and pre-copy no time.
    Expected: the migration succeeds in post-copy mode as the same instance; no acknowledged write is lost.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        policy = observation.faults.migration_policy(bandwidth="16Mi", post_copy=True, completion_seconds_per_gib=5)
        observation.undergo(observation.faults.migration(portal.machines[1], policy=policy, mode="PostCopy"))
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
@pytest.mark.usefixtures("no_operator")
@pytest.mark.needs(MIGRATION_POLICIES)
def test_the_target_node_dies(certification: Certification, power: PowerDriver) -> None:
    """The node to which a machine is being migrated loses its power, and the machine serves on where it was.

    Preconditions: a free node, whose power can be switched; a policy slows the migration down.
    Expected: the migration fails; the same instance serves on, and clients notice nothing.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, target = observation.faults, observation.spare_nodes()[0]
        slow = faults.migration_policy(bandwidth="8Mi")
        migration = faults.migration(
            portal.machines[0], policy=slow, node_selector={"kubernetes.io/hostname": target}, through=False,
            ends="Failed",
        )
        with observation.under(migration, migration.expectation):
            observation.undergo(faults.node_loss(target, power), Expectation())
        observation.settle()
        observation.audit()
    certification.conclude()


@pytest.mark.unplanned
@pytest.mark.usefixtures("no_operator")
@pytest.mark.needs(MIGRATION_POLICIES)
def test_the_source_node_dies(certification: Certification, power: PowerDriver) -> None:
    """The node from which a machine is being migrated loses its power, and the machine is started anew elsewhere.

    Preconditions: a node whose power can be switched, fenced by the out-of-service taint once it is off.
    Expected: the migration fails; the other members go on, and the lost one joins them again with all its data.
    """
    with certification.portal() as portal, certification.observed(portal) as observation:
        observation.baseline()
        faults, machine = observation.faults, portal.machines[0]
        source, slow = observation.node_of(machine), faults.migration_policy(bandwidth="8Mi")
        migration = faults.migration(machine, policy=slow, through=False, ends="Failed", unharmed=False)
        with observation.under(migration, migration.expectation):
            loss = faults.node_loss(source, power, Fence.TAINT)
            with observation.under(loss, observation.lost_with(source, restarted=True)):
                observation.fence(loss)
        observation.settle()
        observation.audit()
    certification.conclude()
