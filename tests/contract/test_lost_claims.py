"""A run whose claim another one takes over, on the lab's real API server: it stops at once, and leaves the node to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drainproof.allowed import Allowed, NotAllowedError
from drainproof.api import LEASES, NODES, PODS, Cluster
from drainproof.claiming import claimed
from drainproof.journal import Journal
from drainproof.journal.copy import ClusterCopy
from drainproof.leases import PREFIX, ClaimLostError, NodeClaims
from drainproof.node import Node
from drainproof.ownership import Owner
from drainproof.record import Case, CaseReader
from drainproof.run_cluster import Bounds, RunCluster
from drainproof.target import Target
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, pause, wait
from fixtures.run_life import alive
from scenarios.drain import Drain
from tests.contract.server import ApiServer

RUN = "r-lost"
LASTS_SECONDS = 2.0
LONGEST_SECONDS = 30.0
"""Far longer than it takes to notice: who is not stopped stays for so long."""


@dataclass(frozen=True)
class Run:
    """A run that has two nodes, with its journal and its guard, as `certify` makes them."""

    cluster: RunCluster
    journal: Journal
    limits: Bounds
    nodes: tuple[str, str]
    namespace: str

    @property
    def target(self) -> Target:
        return Target(name="fake", address_pool=("10.0.0.1",), control_namespace=self.namespace)

    def claims(self) -> NodeClaims:
        return NodeClaims(
            self.cluster, f"{RUN}/case", self.journal, allowed=self.limits.allowed, namespace=self.namespace,
            seconds=LASTS_SECONDS,
        )


@pytest.fixture
def admin(api_server: ApiServer) -> Cluster:
    return Cluster.connect(api_server.config.kubeconfig)


@pytest.fixture
def a_run(api_server: ApiServer, admin: Cluster, namespace: str, node: str, tmp_path: Path) -> Run:
    other = f"{node}-2"
    admin.create(NODES, {"metadata": {"name": other}})
    merge = {"Content-Type": "application/merge-patch+json"}
    ready: Any = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    api_server.call("PATCH", f"/api/v1/nodes/{other}/status", ready, headers=merge)
    for name in (node, other):
        admin.patch(NODES, name, {"metadata": {"labels": {"kubevirt.io/schedulable": "true"}}})
    cluster = RunCluster.connect(api_server.config.kubeconfig)
    limits = Bounds(Owner(RUN, "somebody@somewhere", 60), Allowed((node, other)), namespace)
    cluster.keep_to(limits)
    journal = Journal.of(tmp_path / RUN, ClusterCopy(cluster, namespace, RUN))
    return Run(cluster, journal, limits, (node, other), namespace)


def take_over(admin: Cluster, namespace: str, node: str) -> None:
    """What another run does that has taken this one for dead."""
    admin.patch(LEASES, PREFIX + node, {"spec": {"holderIdentity": "r-other/case"}}, namespace)


def unschedulable(cluster: Cluster, node: str) -> bool:
    return bool(cluster.get(NODES, node).get("spec", {}).get("unschedulable"))


def test_it_stops_at_once_and_heals_what_is_still_its_own(admin: Cluster, a_run: Run) -> None:
    """The other node is uncordoned; the lost one, and the lease by which it is another's, are left."""
    lost, kept = a_run.nodes
    told: list[str] = []
    heard: list[ClaimLostError] = []
    began = time.monotonic()
    stopped = pytest.raises(ClaimLostError, match=f"claimed node {lost} for 2 s at a time, is held by r-other/case now")
    with (
        alive(a_run.cluster, a_run.target, a_run.journal, a_run.limits, 60, "", told.append),
        stopped,
        claimed(a_run.claims(), 2, Deadline(20), lost=heard.append),
    ):
        for name in a_run.nodes:
            a_run.journal.cordon(name)
            Node(a_run.cluster, name).cordon()
        take_over(admin, a_run.namespace, lost)
        try:
            pause(LONGEST_SECONDS, Deadline(LONGEST_SECONDS))
        finally:
            with pytest.raises(NotAllowedError, match="is claimed by r-other/case now and left to it"):
                Node(a_run.cluster, lost).uncordon()
    assert time.monotonic() - began < LONGEST_SECONDS
    assert (unschedulable(admin, lost), unschedulable(admin, kept)) == (True, False)
    assert sorted(told) == sorted([
        f"left behind and undone: node {lost} is claimed by r-other/case now and left to it",
        f"left behind and undone: node {kept} uncordoned",
    ])
    assert [error.node for error in heard] == [lost]
    held = {item["metadata"]["name"]: item["spec"]["holderIdentity"] for item in admin.items(LEASES, a_run.namespace)}
    assert held == {PREFIX + lost: "r-other/case"}


def test_a_claim_that_somebody_has_removed_stops_it_and_all_is_healed(admin: Cluster, a_run: Run) -> None:
    """Nobody else has the node: nothing is left cordoned."""
    stopped = pytest.raises(ClaimLostError, match="was removed by somebody; the run is stopped")
    with (
        alive(a_run.cluster, a_run.target, a_run.journal, a_run.limits, 60, "", lambda _: None),
        stopped,
        claimed(a_run.claims(), 2, Deadline(20), lost=lambda _: None),
    ):
        a_run.journal.cordon(a_run.nodes[0])
        Node(a_run.cluster, a_run.nodes[0]).cordon()
        admin.delete(LEASES, PREFIX + a_run.nodes[0], a_run.namespace)
        pause(LONGEST_SECONDS, Deadline(LONGEST_SECONDS))
    assert not unschedulable(admin, a_run.nodes[0])
    assert admin.items(LEASES, a_run.namespace) == []


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    opened = Case(tmp_path / RUN / "case")
    yield opened
    opened.close()


def test_a_drain_under_way_leaves_the_node_to_whom_it_belongs_now(admin: Cluster, a_run: Run, case: Case) -> None:
    """It waits for a pod that nobody lets go; what it has cordoned is the other's affair from then on."""
    node, name = a_run.nodes[0], f"drainproof-{RUN}"
    admin.create(PODS, _held_pod(node), a_run.namespace)
    machine = VirtualMachine(a_run.cluster, "vm", name)
    drain = Drain(a_run.cluster, node, [machine], case.events, a_run.journal)

    def take_over_once_it_drains() -> None:
        wait("it drains", lambda: unschedulable(admin, node), until=bool, deadline=Deadline(20), every=0.05)
        take_over(admin, a_run.namespace, node)

    thread = threading.Thread(target=take_over_once_it_drains)
    stopped = pytest.raises(ClaimLostError, match="is held by r-other/case now")
    with (
        alive(a_run.cluster, a_run.target, a_run.journal, a_run.limits, 60, "", lambda _: None),
        stopped,
        claimed(a_run.claims(), 2, Deadline(20), lost=lambda _: None),
    ):
        thread.start()
        drain.run(Deadline(LONGEST_SECONDS))
    thread.join()
    assert unschedulable(admin, node)
    kinds = [event.kind for event in CaseReader(case.directory).events()]
    assert "left" in kinds
    assert "uncordoned" not in kinds


def _held_pod(node: str) -> dict[str, Any]:
    """One that is evicted, and never gone, because of its finalizer."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}
    return {
        "metadata": {"name": "web", "finalizers": ["example/held"], "ownerReferences": [owner]},
        "spec": {"nodeName": node, "containers": [{"name": "web", "image": "example/web"}]},
    }
