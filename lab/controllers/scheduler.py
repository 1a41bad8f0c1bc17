"""The scheduler: gives each waiting pod a node, or an event that says why there is none."""

from __future__ import annotations

from collections.abc import Iterable

from lab.client import ConflictError, NotFoundError, Object
from lab.controllers import claims, scoring
from lab.controllers.runtime import Controller
from lab.controllers.scheduling import Refusal, Snapshot, fits, refusal_message, schedulable_pods
from lab.kinds import NODE, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, condition, key, name, namespace, node_name, set_condition

COMPONENT = "default-scheduler"
_QUEUE = ("pods",)
"""One key for all pods: placements must see each other."""


async def reconcile(cluster: Cluster, _: str) -> float | None:
    """Try to place every waiting pod, oldest first."""
    for pod in schedulable_pods(cluster.list(POD)):
        latest = cluster.get(POD, key(pod))
        if latest is not None and not node_name(latest):
            await place(cluster, latest)
    return None


async def place(cluster: Cluster, pod: Object) -> None:
    found = claims.of_pod(cluster, pod)
    others = [_assumed(cluster, other) for other in cluster.list(POD) if key(other) != key(pod)]
    snapshot = Snapshot(cluster.list(NODE), others, found.volumes)
    if found.problem:
        await refuse(cluster, pod, claim_message(len(snapshot.nodes), found.problem))
        return
    refusals: dict[str, Refusal] = {}
    for node in snapshot.nodes:
        refusal = fits(pod, node, snapshot)
        if refusal:
            refusals[name(node)] = refusal
    candidates = [node for node in snapshot.nodes if name(node) not in refusals]
    if not candidates:
        await refuse(cluster, pod, refusal_message(refusals))
        return
    chosen = scoring.best(pod, candidates, snapshot)
    if found.waiting:
        await select_node(cluster, found.waiting, name(chosen))
        return
    await bind(cluster, pod, name(chosen))


def _assumed(cluster: Cluster, pod: Object) -> Object:
    """The pod as it will be: one whose volumes are being made on a node has its place there already."""
    node = "" if node_name(pod) else claims.selected_node(cluster, pod)
    return {**pod, "spec": {**pod["spec"], "nodeName": node}} if node else pod


def claim_message(nodes: int, problem: str) -> str:
    """The sentence for a pod whose claims keep it from every node."""
    head = f"0/{nodes} nodes are available: "
    return f"{head}{problem}. not found, preemption: {head}{nodes} Preemption is not helpful for scheduling."


async def select_node(cluster: Cluster, waiting: Iterable[Object], node: str) -> None:
    """Ask for the volumes of these claims on this node; the pod is placed once they are bound."""
    for claim in waiting:
        if claims.SELECTED_NODE in annotations_of(claim):
            continue
        wished = cluster.get(PERSISTENT_VOLUME_CLAIM, key(claim))
        if wished is not None:
            wished["metadata"].setdefault("annotations", {})[claims.SELECTED_NODE] = node
            await cluster.update(PERSISTENT_VOLUME_CLAIM, claim, wished)


async def bind(cluster: Cluster, pod: Object, node: str) -> None:
    body = {
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name(pod), "namespace": namespace(pod)},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    try:
        await cluster.client.create_subresource(POD, name(pod), namespace(pod), "binding", body)
        cluster.remember(POD, await cluster.client.get(POD, name(pod), namespace(pod)))
    except (NotFoundError, ConflictError):
        return
    cluster.event(POD, pod, "Normal", "Scheduled", f"Successfully assigned {key(pod)} to {node}", COMPONENT)


async def refuse(cluster: Cluster, pod: Object, message: str) -> None:
    """Say in the pod's condition and in an event why it waits; a reason already told is not told again."""
    known = condition(pod, "PodScheduled")
    if known and known.get("message") == message:
        return
    wished = cluster.get(POD, key(pod))
    if wished is None:
        return
    set_condition(wished, "PodScheduled", "False", "Unschedulable", message)
    wished["status"].setdefault("phase", "Pending")
    await cluster.update(POD, pod, wished)
    cluster.event(POD, pod, "Warning", "FailedScheduling", message, COMPONENT)


def _any(_: Cluster, __: Object) -> Iterable[str]:
    return _QUEUE


CONTROLLER = Controller(
    "scheduler", reconcile,
    ((POD, _any), (NODE, _any), (PERSISTENT_VOLUME_CLAIM, _any), (STORAGE_CLASS, _any)), initial_keys=_QUEUE,
)
