"""Pods of others that a drain must not evict, on the lab's real API server: as `kubectl drain` refuses them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from drainproof.api import NODES, PODS, Cluster
from drainproof.errors import CannotRunError
from drainproof.journal import Journal
from drainproof.record import Case, CaseReader
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from scenarios.drain import Drain
from tests.contract.server import ApiServer

CONTROLLED: Any = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u", "controller": True}]
DAEMON: Any = [{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "u", "controller": True}]
CACHE: Any = [{"name": "cache", "emptyDir": {}}]


@pytest.fixture
def drain(cluster: Cluster, node: str, namespace: str, case: Case) -> Drain:
    """Of a run whose machines are in a namespace of its own, beside the one of the others."""
    machine = VirtualMachine(cluster, "vm-0", f"{namespace}-own")
    return Drain(cluster, node, [machine], case.events, Journal.of(case.directory.parent))


def made(server: ApiServer, namespace: str, node: str, name: str, **how: Any) -> None:
    """A pod on the node; running unless its phase is told."""
    cluster, phase = Cluster.connect(server.config.kubeconfig), how.pop("phase", "Running")
    volumes = how.pop("volumes", [])
    spec = {
        "nodeName": node, "containers": [{"name": "main", "image": "example/web"}], "volumes": volumes,
        "terminationGracePeriodSeconds": 0,  # there is no kubelet here that would end it
    }
    cluster.create(PODS, {"metadata": {"name": name, **how}, "spec": spec}, namespace)
    merge = {"Content-Type": "application/merge-patch+json"}
    path = f"{PODS.path(namespace, name)}/status"
    assert server.call("PATCH", path, {"status": {"phase": phase}}, headers=merge).status == 200


def cordoned(cluster: Cluster, node: str) -> bool:
    return bool(cluster.get(NODES, node).get("spec", {}).get("unschedulable"))


@pytest.mark.parametrize(("how", "why"), [
    ({}, "no controller would create it again"),
    ({"ownerReferences": CONTROLLED, "volumes": CACHE}, "its emptyDir cache would be lost"),
])
def test_it_is_refused_before_anything_is_done(
    api_server: ApiServer, cluster: Cluster, drain: Drain, namespace: str, node: str, how: dict[str, Any], why: str
) -> None:
    """Named are the node, the pod, why, and what to do."""
    made(api_server, namespace, node, "web", **how)
    told = rf"Node {node} has pods that .* would refuse to evict: {namespace}/web, {why}\. Remove .*--allow-bystanders"
    with pytest.raises(CannotRunError, match=told):
        drain.run(Deadline(20))
    assert not cordoned(cluster, node)
    assert drain.journal.entries() == []
    assert cluster.get(PODS, "web", namespace)["status"]["phase"] == "Running"


def test_what_loses_nothing_is_evicted(
    api_server: ApiServer, cluster: Cluster, drain: Drain, namespace: str, node: str
) -> None:
    """Controlled pods, those that are over, launchers, and the run's own; a daemon set's pod and a mirror pod stay."""
    own = f"{namespace}-own"
    api_server.call("POST", "/api/v1/namespaces", {"metadata": {"name": own}})
    launcher = {"kubevirt.io": "virt-launcher"}
    made(api_server, namespace, node, "web", ownerReferences=CONTROLLED)
    made(api_server, namespace, node, "done", phase="Succeeded", volumes=CACHE)
    made(api_server, namespace, node, "launcher", ownerReferences=CONTROLLED, volumes=CACHE, labels=launcher)
    made(api_server, own, node, "clients", ownerReferences=CONTROLLED, volumes=CACHE)
    made(api_server, namespace, node, "agent", ownerReferences=DAEMON, volumes=CACHE)
    made(api_server, namespace, node, "static", volumes=CACHE, annotations={"kubernetes.io/config.mirror": "x"})
    drain.run(Deadline(20))
    left = {item["metadata"]["name"] for item in cluster.items(PODS, fields=f"spec.nodeName={node}")}
    assert left == {"agent", "static"}
    assert not cordoned(cluster, node)


def test_where_bystanders_are_allowed_emptydirs_are_lost_and_told(
    api_server: ApiServer, cluster: Cluster, case: Case, drain: Drain, namespace: str, node: str
) -> None:
    """As with --delete-emptydir-data; --force has no counterpart."""
    made(api_server, namespace, node, "web", ownerReferences=CONTROLLED, volumes=CACHE)
    allowing = Drain(cluster, node, drain.machines, case.events, drain.journal, local_data=True)
    allowing.run(Deadline(20))
    (told,) = [event for event in CaseReader(case.directory).events() if event.kind == "local-data"]
    assert (told.object, told.data) == (f"{namespace}/web", {"node": node, "volumes": ["cache"]})
    made(api_server, namespace, node, "alone")
    with pytest.raises(CannotRunError, match=f"{namespace}/alone, no controller"):
        allowing.run(Deadline(20))


def test_one_that_comes_in_spite_of_the_cordon_is_not_evicted_either(
    api_server: ApiServer, cluster: Cluster, drain: Drain, namespace: str, node: str
) -> None:
    """As `kubectl debug node` makes one, which no scheduler places; the node is uncordoned, and the pod lives."""
    made(api_server, namespace, node, "held", ownerReferences=CONTROLLED, finalizers=["example/held"])

    def come() -> None:
        wait("it is cordoned", lambda: cordoned(cluster, node), until=bool, deadline=Deadline(20), every=0.05)
        made(api_server, namespace, node, "debugger")

    thread = threading.Thread(target=come)
    thread.start()
    with pytest.raises(CannotRunError, match=f"{namespace}/debugger, no controller"):
        drain.run(Deadline(30))
    thread.join()
    assert "deletionTimestamp" not in cluster.get(PODS, "debugger", namespace)["metadata"]
    assert not cordoned(cluster, node)
