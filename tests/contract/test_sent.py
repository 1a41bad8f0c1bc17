"""What the harness sends has only fields that a real cluster knows, of their types: by schemas that were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from drainproof import spec
from drainproof.allowed import Allowed
from drainproof.api import (
    CLAIMS,
    JOBS,
    MACHINE_CLONES,
    MACHINE_RESTORES,
    MACHINE_SNAPSHOTS,
    MACHINES,
    MIGRATION_POLICIES,
    MIGRATIONS,
    NAMESPACES,
    NODES,
    PODS,
    Cluster,
)
from drainproof.entry import EntryFacts, NetworkFacts
from drainproof.errors import ApiError
from drainproof.heartbeat import Heartbeat
from drainproof.journal import Journal
from drainproof.journal.copy import ClusterCopy
from drainproof.leases import NodeClaims
from drainproof.node import Node
from drainproof.ownership import Owner
from fixtures import portal
from fixtures.clients.job import ClientJob
from scenarios.migration_policy import Policy
from tests.contract import sent
from tests.contract.server import ApiServer, running
from tests.recordings import recordings

NETWORKS = (
    NetworkFacts(), NetworkFacts(kind="masquerade"), NetworkFacts(kind="l2bridge"),
    NetworkFacts(kind="multus", name="vms/localnet", gateway="192.0.2.1"),
)
ENTRIES = (EntryFacts(), EntryFacts(kind="node-port", address="192.0.2.2"), EntryFacts(), EntryFacts())
NODE, OWNER = "node-a", Owner("run-1", "somebody@somewhere", 3600)
EXPECTED = {
    "ConfigMap", "EndpointSlice", "Eviction", "Lease", "MigrationPolicy", "Namespace", "Node",
    "PersistentVolumeClaim", "Pod", "Service", "VirtualMachine", "VirtualMachineClone",
    "VirtualMachineInstanceMigration", "VirtualMachineRestore", "VirtualMachineSnapshot",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that nobody else sends anything to."""
    with running(tmp_path_factory.mktemp("sent")) as found:
        yield found


def test_every_body_is_one_that_a_real_cluster_takes(server: ApiServer, tmp_path: Path) -> None:
    """Portals on every network, machines and copies of them, leases, journal, nodes, evictions, clients."""
    recordings()
    cluster = Cluster.connect(server.config.kubeconfig)
    cluster.create(NODES, {"metadata": {"name": NODE}})
    for number, (network, entry) in enumerate(zip(NETWORKS, ENTRIES, strict=True)):
        _portal(cluster, f"portal-{number}", network, entry)
    _of_the_run(cluster, tmp_path)
    _of_machines(cluster, "portal-0")
    right, wrong, unknown = sent.faults(server.config.logs("audit"))
    assert wrong == {}
    assert set(right) == EXPECTED, right
    assert unknown == {"Job"}, "of these the recordings hold no schema"


def _portal(cluster: Cluster, namespace: str, network: NetworkFacts, entry: EntryFacts) -> None:
    cluster.apply(NAMESPACES, OWNER.owned({"metadata": {"name": namespace}}))
    plan = portal.PortalPlan(
        namespace=namespace, names=("portal-0", "portal-1"), addresses=("192.0.2.11", "192.0.2.12"), image="i",
        storage_class="fast", memory="512Mi", data_disk="1Gi", load_address="192.0.2.3", load_ports={"probe": 9301},
        nodes=(NODE,), network=network, entry=entry,
    )
    portal._create(cluster, plan, "secret")


def _of_the_run(cluster: Cluster, tmp_path: Path) -> None:
    """What a run keeps in the control namespace, and does to nodes."""
    claims = NodeClaims(cluster, "run-1/case", Journal.of(tmp_path), allowed=Allowed((NODE,)))
    claims._take(NODE)
    claims.renew(NODE)
    beat = Heartbeat(cluster, "default", "run-1", 60)
    beat.begin()
    beat.renew()
    copy = ClusterCopy(cluster, "default", "run-1")
    copy.begin(OWNER)
    copy.add("w.1", {"do": "cordon", "name": NODE})
    node = Node(cluster, NODE)
    node.cordon()
    node.taint("drainproof.io/test", "x", "NoSchedule")
    node.untaint("drainproof.io/test")
    node.uncordon()


def _pod() -> dict[str, object]:
    return {"metadata": {"name": "pod"}, "spec": {"nodeName": NODE, "containers": [{"name": "c", "image": "i"}]}}


def _of_machines(cluster: Cluster, namespace: str) -> None:
    """What scenarios ask for; the server may refuse what has to be there first, which says nothing of the shape."""
    job = ClientJob(namespace, "i", (NODE,), workers=2, exporters={"metrics-probe": 9301})
    cluster.create(PODS, _pod(), namespace)
    cluster.evict("pod", namespace)
    for resource, body in (
        (MACHINE_SNAPSHOTS, spec.machine_snapshot("s", "portal-0")),
        (MACHINE_RESTORES, spec.machine_restore("r", "portal-0", "s")),
        (MACHINE_CLONES, spec.machine_clone("c", "portal-0", "portal-9")),
        (MIGRATIONS, {"metadata": {"generateName": "m-"}, "spec": {"vmiName": "portal-0"}}),
    ):
        with suppress(ApiError):
            cluster.create(resource, body, namespace)
    policy = Policy(
        name="p", namespace=namespace, labels={"app": "x"}, bandwidth="64Mi", auto_converge=True, post_copy=False,
        completion_seconds_per_gib=5, max_downtime_ms=100, disruption=True,
    )
    cluster.create(MIGRATION_POLICIES, policy.manifest())
    cluster.create(JOBS, job.job(), namespace)
    cluster.patch(MACHINES, "portal-0", {"spec": {"runStrategy": "Halted"}}, namespace)
    cluster.create(CLAIMS, spec.claim("block", "fast", "1Gi", volume_mode=spec.BLOCK), namespace)
