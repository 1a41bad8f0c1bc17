"""The node lifecycle: a silent node becomes Unknown and tainted, its pods not ready; cordoning sets its taint."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable

from lab.client import Object
from lab.controllers import kubevirt
from lab.controllers.runtime import Controller, itself
from lab.kinds import LEASE, NODE, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    annotations_of,
    condition,
    condition_true,
    dig,
    final,
    key,
    labels,
    name,
    node_name,
    phase,
    set_condition,
    set_phase,
    stamp,
)

GRACE_SECONDS = 40.0
"""node-monitor-grace-period: how long a node may be silent (Kubernetes up to 1.31; later 50 s)."""

HEARTBEAT_SECONDS = 300.0
"""How old KubeVirt's own heartbeat may be before its node is marked unresponsive."""

COMPONENT = "node-controller"
LEASE_NAMESPACE = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OWN_TAINTS = (NOT_READY, UNREACHABLE, UNSCHEDULABLE)
_CONDITIONS = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")


class Heartbeats:
    """When each node was last seen to renew its lease, by this process's own clock."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def silence(self, node: str, token: str) -> float:
        """Seconds since the token last changed; 0 for one never seen, so a restart of this process blames no node."""
        known = self._seen.get(node)
        moment = time.monotonic()
        if known is None or known[0] != token:
            self._seen[node] = (token, moment)
            return 0.0
        return moment - known[1]


class NodeLifecycle:
    """Reconciles nodes; keeps the heartbeats it has seen."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace = grace_seconds
        self._heartbeats = Heartbeats()

    async def reconcile(self, cluster: Cluster, where: str) -> float | None:
        """Judge one node by its heartbeats; seconds until its silence would count."""
        node = cluster.get(NODE, where)
        if node is None:
            return None
        silence = self._heartbeats.silence(where, _token(cluster, node))
        wished = copy.deepcopy(node)
        lost = silence >= self._grace
        if lost:
            _mark_unknown(cluster, node, wished)
        _taint(wished)
        await cluster.update(NODE, node, wished)
        if not condition_true(wished, "Ready"):
            await _unready_pods(cluster, wished)
        left = await check_virt_handler(cluster, where)
        return min(left, 5.0 if lost else max(self._grace - silence, 0.1))


def _token(cluster: Cluster, node: Object) -> str:
    lease = cluster.get(LEASE, f"{LEASE_NAMESPACE}/{name(node)}")
    ready = condition(node, "Ready") or {}
    return str(dig(lease, "spec", "renewTime") or ready.get("lastHeartbeatTime"))


def _mark_unknown(cluster: Cluster, node: Object, wished: Object) -> None:
    was_ready = condition_true(node, "Ready")
    for type_ in _CONDITIONS:
        set_condition(wished, type_, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    if was_ready:
        cluster.event(NODE, node, "Normal", "NodeNotReady", f"Node {name(node)} status is now: NodeNotReady", COMPONENT)


def _taint(node: Object) -> None:
    """Set the taints that follow from the node's state, keep all others."""
    spec = node.setdefault("spec", {})
    known = spec.get("taints") or []
    wanted = [(UNSCHEDULABLE, "NoSchedule")] if spec.get("unschedulable") else []
    ready = (condition(node, "Ready") or {"status": "Unknown"})["status"]
    if ready != "True":
        key_ = UNREACHABLE if ready == "Unknown" else NOT_READY
        wanted += [(key_, "NoSchedule"), (key_, "NoExecute")]
    taints = [taint for taint in known if taint["key"] not in _OWN_TAINTS or (taint["key"], taint["effect"]) in wanted]
    present = {(taint["key"], taint["effect"]) for taint in taints}
    added = [entry for entry in wanted if entry not in present]
    taints += [{"key": key_, "effect": effect, "timeAdded": stamp()} for key_, effect in added]
    if taints:
        spec["taints"] = taints
    else:
        spec.pop("taints", None)


async def _unready_pods(cluster: Cluster, node: Object) -> None:
    """Mark the pods of a node that is not ready as not ready, so that Services stop using them."""
    for pod in cluster.list(POD):
        if node_name(pod) != name(node) or final(pod) or not condition_true(pod, "Ready"):
            continue
        latest = cluster.get(POD, key(pod))
        if latest is not None:
            wished = copy.deepcopy(latest)
            set_condition(wished, "Ready", "False")
            await cluster.update(POD, latest, wished)
            cluster.event(POD, latest, "Warning", "NodeNotReady", "Node is not ready", COMPONENT)


async def check_virt_handler(cluster: Cluster, where: str) -> float:
    """KubeVirt's rule: a node without its heartbeat for 5 minutes is unresponsive. Seconds until that would be so."""
    node = cluster.get(NODE, where)
    heartbeat = annotations_of(node).get(kubevirt.HEARTBEAT) if node is not None else None
    if node is None or heartbeat is None:
        return HEARTBEAT_SECONDS
    left = HEARTBEAT_SECONDS - age(heartbeat.strip('"'))
    if left > 0:
        return left + 0.5
    if labels(node).get(kubevirt.SCHEDULABLE) == "true":
        wished = copy.deepcopy(node)
        wished["metadata"]["labels"][kubevirt.SCHEDULABLE] = "false"
        await cluster.update(NODE, node, wished)
        message = "virt-handler is not responsive, marking node as unresponsive"
        cluster.event(NODE, node, "Normal", "NodeUnresponsive", message, COMPONENT)
    await _fail_orphans(cluster, where)
    return HEARTBEAT_SECONDS


async def _fail_orphans(cluster: Cluster, node: str) -> None:
    living = {owner["uid"] for pod in cluster.list(POD) if not final(pod)
              for owner in pod["metadata"].get("ownerReferences") or []}
    for vmi in cluster.list(VIRTUAL_MACHINE_INSTANCE):
        stuck = dig(vmi, "status", "nodeName") == node and phase(vmi) in ("Scheduled", "Running")
        if not stuck or vmi["metadata"]["uid"] in living:
            continue
        wished = copy.deepcopy(vmi)
        set_phase(wished, "Failed")
        wished["status"]["reason"] = "NodeUnresponsive"
        await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)
        message = f"virt-handler on node {node} is not responsive, marking VMI as failed"
        cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, "Normal", "NodeUnresponsive", message, COMPONENT)


def _node_of_lease(_: Cluster, lease: Object) -> Iterable[str]:
    return [name(lease)] if lease["metadata"].get("namespace") == LEASE_NAMESPACE else []


def _node_of_pod(cluster: Cluster, pod: Object) -> Iterable[str]:
    """A pod that shows itself ready concerns its node only while that is not."""
    node = cluster.get(NODE, node_name(pod)) if node_name(pod) and condition_true(pod, "Ready") else None
    return [name(node)] if node is not None and not condition_true(node, "Ready") else []


def controller(grace_seconds: float = GRACE_SECONDS) -> Controller:
    """The node lifecycle controller with its own memory of heartbeats."""
    return Controller(
        "nodes", NodeLifecycle(grace_seconds).reconcile,
        ((NODE, itself), (LEASE, _node_of_lease), (POD, _node_of_pod)),
    )
