"""Taint-based eviction and the collection of pods whose node is gone."""

from __future__ import annotations

from collections.abc import Iterable

from lab.client import Object
from lab.controllers import indexes, selectors
from lab.controllers.nodes import NOT_READY, UNREACHABLE
from lab.controllers.runtime import Controller, itself
from lab.kinds import NODE, POD
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    annotations_of,
    clone,
    condition_true,
    deleting,
    dig,
    final,
    key,
    name,
    node_name,
    parse_time,
    set_condition,
)

COMPONENT = "taint-eviction-controller"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
DEFAULT_TOLERATION_SECONDS = 300.0
"""Tolerated for not-ready and unreachable when the pod itself says nothing, as the default admission sets it."""

MIRROR = "kubernetes.io/config.mirror"
"""Marks the image of a static pod, which only its kubelet can end; the API server's is on a node that is no object."""

ORPHAN_SECONDS = 40.0
"""How long a pod may refer to a node that does not exist (quarantine of the pod garbage collector)."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Evict the pod when a taint's time is over, remove it by force when its node cannot; seconds to look again."""
    pod = cluster.peek(POD, where)
    if pod is None or MIRROR in annotations_of(pod):
        return None
    if not node_name(pod):
        if deleting(pod):
            await cluster.delete(POD, pod, grace_seconds=0)
        return None
    node = cluster.peek(NODE, node_name(pod))
    if node is None:
        left = ORPHAN_SECONDS - _bound_seconds(pod)
        if left > 0:
            return left
        await _remove(cluster, pod)
        return None
    if deleting(pod):
        if not condition_true(node, "Ready") and _tainted(node, OUT_OF_SERVICE):
            await _remove(cluster, pod)
        return None
    left_of_taint = seconds_until_eviction(pod, node)
    if left_of_taint is None or final(pod):
        return None
    if left_of_taint > 0:
        return left_of_taint
    await _evict(cluster, pod)
    return None


def _bound_seconds(pod: Object) -> float:
    return age(dig(pod, "status", "startTime") or pod["metadata"].get("creationTimestamp"))


def _tainted(node: Object, taint_key: str) -> bool:
    return any(taint["key"] == taint_key for taint in dig(node, "spec", "taints", default=[]))


def seconds_until_eviction(pod: Object, node: Object) -> float | None:
    """Seconds until the first NoExecute taint's toleration ends, 0 when it is due, None when all are tolerated."""
    deadlines = []
    for taint in dig(node, "spec", "taints", default=[]):
        if taint["effect"] != "NoExecute":
            continue
        tolerated = toleration_seconds(pod, taint)
        if tolerated is not None:
            passed = age(taint.get("timeAdded")) if parse_time(taint.get("timeAdded")) else 0.0
            deadlines.append(max(tolerated - passed, 0.0))
    return min(deadlines, default=None)


def toleration_seconds(pod: Object, taint: Object) -> float | None:
    """How long the pod tolerates the taint; None when for ever."""
    matching = [entry for entry in dig(pod, "spec", "tolerations", default=[]) if selectors.tolerates(entry, taint)]
    if not matching:
        return DEFAULT_TOLERATION_SECONDS if taint["key"] in (NOT_READY, UNREACHABLE) else 0.0
    limits = [float(entry["tolerationSeconds"]) for entry in matching if entry.get("tolerationSeconds") is not None]
    return min(limits) if limits else None


async def _evict(cluster: Cluster, pod: Object) -> None:
    cluster.event(POD, pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key(pod)}", COMPONENT)
    wished = clone(pod)
    message = "Taint manager: deleting due to NoExecute taint"
    set_condition(wished, "DisruptionTarget", "True", "DeletionByTaintManager", message)
    await cluster.update(POD, pod, wished)
    await cluster.delete(POD, pod)


async def _remove(cluster: Cluster, pod: Object) -> None:
    """Take a pod away whose node will never say that it ended; a real collector looks every 20 s, this one at once."""
    if not final(pod):
        wished = clone(pod)
        wished.setdefault("status", {})["phase"] = "Failed"
        if not deleting(pod):
            set_condition(wished, "DisruptionTarget", "True", "DeletionByPodGC", "PodGC: node no longer exists")
        pod = await cluster.update(POD, pod, wished)
    await cluster.delete(POD, pod, grace_seconds=0)


def _pods_of_node(cluster: Cluster, node: Object) -> Iterable[str]:
    return [key(pod) for pod in cluster.among(indexes.POD_BY_NODE, name(node))]


CONTROLLER = Controller("eviction", reconcile, ((POD, itself), (NODE, _pods_of_node)))
