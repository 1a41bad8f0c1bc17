"""The scheduler: gives each waiting pod a node, or an event that says why there is none."""

from __future__ import annotations

from collections.abc import Iterable

from lab.client import ConflictError, NotFoundError, Object
from lab.controllers import claims, indexes, scoring
from lab.controllers.load import Load
from lab.controllers.runtime import Controller
from lab.controllers.scheduling import Refusal, Snapshot, fits, refusal_message, schedulable_pods
from lab.kinds import NODE, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, condition, key, name, namespace, node_name, set_condition

COMPONENT = "default-scheduler"
_QUEUE = ("pods",)
"""One key for all pods: placements must see each other."""


class Scheduler:
    """Places pods; what is on a node is summed up anew only when the watch or an own write shows a change there."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Load]] = {}

    async def reconcile(self, cluster: Cluster, _: str) -> float | None:
        """Try to place every waiting pod, oldest first."""
        for pod in schedulable_pods(cluster.among(indexes.LIVING_POD_BY_NODE, "")):
            latest = cluster.get(POD, key(pod))
            if latest is not None and not node_name(latest):
                await self._place(cluster, latest)
        return None

    async def _place(self, cluster: Cluster, pod: Object) -> None:
        found = claims.of_pod(cluster, pod)
        nodes = cluster.list(NODE)
        if found.problem:
            await refuse(cluster, pod, claim_message(len(nodes), found.problem))
            return
        snapshot = Snapshot(nodes, self._loads(cluster, nodes, pod), found.volumes)
        refusals: dict[str, Refusal] = {}
        for node in nodes:
            refusal = fits(pod, node, snapshot)
            if refusal:
                refusals[name(node)] = refusal
        candidates = [node for node in nodes if name(node) not in refusals]
        if not candidates:
            await refuse(cluster, pod, refusal_message(refusals))
            return
        chosen = scoring.best(pod, candidates, snapshot)
        if found.waiting:
            await select_node(cluster, found.waiting, name(chosen))
            return
        await bind(cluster, pod, name(chosen))

    def _loads(self, cluster: Cluster, nodes: Iterable[Object], pod: Object) -> dict[str, Load]:
        """What is on each node, by name, but for the pod to place."""
        assumed = _assumed(cluster, pod)
        own = {node_name(written) for written in cluster.unseen(POD)}
        loads = {}
        for node in map(name, nodes):
            changes = cluster.changes(indexes.LIVING_POD_BY_NODE, node)
            known = self._known.get(node)
            if node in own or node in assumed:
                loads[node] = Load([*cluster.among(indexes.LIVING_POD_BY_NODE, node), *assumed.get(node, ())])
            elif known and known[0] == changes:
                loads[node] = known[1]
            else:
                loads[node] = Load(cluster.among(indexes.LIVING_POD_BY_NODE, node))
                self._known[node] = changes, loads[node]
        return loads


def _assumed(cluster: Cluster, pod: Object) -> dict[str, list[Object]]:
    """By node, the other waiting pods whose volumes are being made there: they have their place already."""
    found: dict[str, list[Object]] = {}
    for other in cluster.among(indexes.LIVING_POD_BY_NODE, ""):
        node = claims.selected_node(cluster, other) if key(other) != key(pod) else ""
        if node:
            found.setdefault(node, []).append(other)
    return found


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


def controller() -> Controller:
    """The scheduler with its own memory of what is on the nodes."""
    return Controller(
        "scheduler", Scheduler().reconcile,
        ((POD, _any), (NODE, _any), (PERSISTENT_VOLUME_CLAIM, _any), (STORAGE_CLASS, _any)), initial_keys=_QUEUE,
    )
