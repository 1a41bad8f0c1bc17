"""Facts about a virtual machine instance, read from it and its pods."""

from __future__ import annotations

from collections.abc import Sequence

from lab.client import Object
from lab.controllers import indexes
from lab.machinery.cluster import Cluster
from lab.machinery.objects import deleting, dig, final, name, node_name, phase, uid


def launcher_pods(cluster: Cluster, vmi: Object) -> list[Object]:
    """Every pod of the VMI, finished ones too."""
    return cluster.among(indexes.POD_BY_CONTROLLER, uid(vmi))


def current_pod(vmi: Object, pods: Sequence[Object]) -> Object | None:
    """The pod that runs the guest now: the newest on the VMI's node, or the newest of all before it has one.

    Creation times have whole seconds, so among equals a living pod goes before a finished one.
    """
    node = dig(vmi, "status", "nodeName", default="")
    mine = [pod for pod in pods if not node or node_name(pod) == node]
    return max(mine, key=_recency, default=None)


def _recency(pod: Object) -> tuple[str, bool, str]:
    return (str(pod["metadata"].get("creationTimestamp", "")), not final(pod), name(pod))


def pod_started(pod: Object) -> bool:
    """Whether the compute container runs."""
    statuses = dig(pod, "status", "containerStatuses", default=[])
    compute = [entry for entry in statuses if entry["name"] == "compute"]
    running = bool(compute) and dig(compute[0], "state", "running") is not None
    return phase(pod) == "Running" and running and not deleting(pod)


def pod_down(pod: Object | None) -> bool:
    """Whether the pod is gone, finished or on its way out."""
    return pod is None or final(pod) or deleting(pod)


def pull_problem(pod: Object) -> tuple[str, str] | None:
    """The (reason, message) of a container whose image cannot be had."""
    status = pod.get("status") or {}
    for entry in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = dig(entry, "state", "waiting", default={})
        if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"):
            return waiting["reason"], waiting.get("message", "")
    return None
