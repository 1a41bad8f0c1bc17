"""The node lifecycle: a silent node becomes Unknown and tainted, its pods not ready; cordoning sets its taint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass

from lab.client import NotFoundError, Object
from lab.controllers import indexes, kubevirt
from lab.controllers.runtime import Controller, itself
from lab.kinds import LEASE, NODE, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    annotations_of,
    clone,
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

LOOKS_IN_GRACE = 10
LONGEST_LOOK_SECONDS = 5.0
"""node-monitor-period: a lost node is noticed that much later than its grace is over, at most."""

LOOK_TIMEOUT_SECONDS = 5.0
HEARTBEAT_SECONDS = 300.0
"""How old KubeVirt's own heartbeat may be before its node is marked unresponsive."""

COMPONENT = "node-controller"
LEASE_NAMESPACE = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_OWN_TAINTS = (NOT_READY, UNREACHABLE, UNSCHEDULABLE)
_CONDITIONS = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")


@dataclass(slots=True)
class _Heard:
    token: str
    changed: float
    looked: float


class Heartbeats:
    """When each node was last seen to renew its lease, by this process's own clock."""

    def __init__(self, blind_seconds: float) -> None:
        self._blind = blind_seconds
        self._heard: dict[str, _Heard] = {}

    def silence(self, node: str, token: str) -> float:
        """Seconds since the token last changed; 0 for one never seen, so a restart of this process blames no node.

        Who has not looked for long has not heard the silence: after a stop of this process, or while the API did not
        answer, the node gets its whole grace again, as from a controller manager that has lost its leadership.
        """
        moment = time.monotonic()
        known = self._heard.get(node)
        if known is None or known.token != token or moment - known.looked > self._blind:
            self._heard[node] = _Heard(token, moment, moment)
            return 0.0
        known.looked = moment
        return moment - known.changed


class NodeLifecycle:
    """Reconciles nodes; keeps the heartbeats it has seen."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace = grace_seconds
        self._look = min(grace_seconds / LOOKS_IN_GRACE, LONGEST_LOOK_SECONDS)
        self._heartbeats = Heartbeats(max(grace_seconds / 2, 2 * self._look))

    async def reconcile(self, cluster: Cluster, where: str) -> float | None:
        """Judge one node by its heartbeats; seconds until the next look."""
        node = cluster.get(NODE, where)
        if node is None:
            return None
        if self._heartbeats.silence(where, await _token(cluster, node)) >= self._grace:
            node = await _mark_unknown(cluster, node)
        if not condition_true(node, "Ready"):
            await _unready_pods(cluster, node)
        wished = clone(node)
        _taint(wished)
        await cluster.update(NODE, node, wished)
        return min(await check_virt_handler(cluster, where), self._look)


async def _token(cluster: Cluster, node: Object) -> str:
    """What a living node changes again and again, asked of the API itself: a cache may lag behind the node."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_SECONDS):
            lease = await cluster.client.get(LEASE, name(node), LEASE_NAMESPACE)
    except NotFoundError:
        lease = {}
    ready = condition(node, "Ready") or {}
    return str(dig(lease, "spec", "renewTime") or ready.get("lastHeartbeatTime"))


async def _mark_unknown(cluster: Cluster, node: Object) -> Object:
    was_ready = condition_true(node, "Ready")
    wished = clone(node)
    for type_ in _CONDITIONS:
        set_condition(wished, type_, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")
    if was_ready:
        cluster.event(NODE, node, "Normal", "NodeNotReady", f"Node {name(node)} status is now: NodeNotReady", COMPONENT)
    return await cluster.update(NODE, node, wished)


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
    for pod in cluster.among(indexes.LIVING_POD_BY_NODE, name(node)):
        if not condition_true(pod, "Ready"):
            continue
        latest = cluster.get(POD, key(pod))
        if latest is not None:
            wished = clone(latest)
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
        wished = clone(node)
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
        wished = clone(vmi)
        set_phase(wished, "Failed")
        wished["status"]["reason"] = "NodeUnresponsive"
        await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)
        message = f"virt-handler on node {node} is not responsive, marking VMI as failed"
        cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, "Normal", "NodeUnresponsive", message, COMPONENT)


def _node_of_pod(cluster: Cluster, pod: Object) -> Iterable[str]:
    """A pod that shows itself ready concerns its node only while that is not."""
    node = cluster.peek(NODE, node_name(pod)) if node_name(pod) and condition_true(pod, "Ready") else None
    return [name(node)] if node is not None and not condition_true(node, "Ready") else []


def controller(grace_seconds: float) -> Controller:
    """The node lifecycle controller with its own memory of heartbeats; a node may be silent for `grace_seconds`."""
    return Controller("nodes", NodeLifecycle(grace_seconds).reconcile, ((NODE, itself), (POD, _node_of_pod)))
