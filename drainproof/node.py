"""A node, in kubectl's words: cordon, uncordon, who is on it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from drainproof.api import NODES, PODS, Cluster, Object
from drainproof.errors import CannotRunError
from drainproof.vm import LAUNCHER

RUNS_MACHINES = "kubevirt.io/schedulable"
SHOWN = 10
OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Node:
    """A handle on one node; holds no state of its own."""

    cluster: Cluster
    name: str

    def refuse_cordoned(self) -> None:
        """Raises CannotRunError when it is cordoned already: who has done that is not to find it uncordoned."""
        if self.cluster.get(NODES, self.name).get("spec", {}).get("unschedulable"):
            raise CannotRunError(
                f"Node {self.name} has been cordoned by somebody else since it was claimed; it is left so. Repeat the "
                "run when its maintenance is over, or use other nodes."
            )

    def cordon(self) -> None:
        """Mark the node unschedulable."""
        self.cluster.patch(NODES, self.name, {"spec": {"unschedulable": True}})

    def uncordon(self) -> None:
        """Let the scheduler use the node again."""
        self.cluster.patch(NODES, self.name, {"spec": {"unschedulable": None}})

    def taint(self, key: str, value: str, effect: str) -> None:
        """Add a taint, in place of one with the same key and effect; raises ConflictError when the node changed."""
        self._set_taints(lambda taint: (taint["key"], taint["effect"]) != (key, effect),
                         {"key": key, "value": value, "effect": effect})

    def untaint(self, key: str) -> None:
        """Remove every taint of that key; raises ConflictError when the node just changed."""
        self._set_taints(lambda taint: taint["key"] != key)

    def _set_taints(self, keep: Callable[[Object], bool], *more: Object) -> None:
        node = self.cluster.get(NODES, self.name)
        taints = [taint for taint in node.get("spec", {}).get("taints") or [] if keep(taint)] + list(more)
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        self.cluster.patch(NODES, self.name, {"metadata": version, "spec": {"taints": taints or None}})

    def pods_to_evict(self) -> list[Object]:
        """The pods that a drain has to move."""
        return [pod for pod in self.cluster.items(PODS, fields=self.of_its_pods) if has_to_go(pod)]

    @property
    def of_its_pods(self) -> str:
        """The field selector of the pods on it."""
        return f"spec.nodeName={self.name}"



def is_schedulable(node: Object) -> bool:
    """Whether a node object is Ready, not cordoned, and free of taints that keep ordinary pods away."""
    conditions = {condition["type"]: condition["status"] for condition in node.get("status", {}).get("conditions", [])}
    taints = node.get("spec", {}).get("taints") or []
    kept_away = any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in taints)
    return conditions.get("Ready") == "True" and not node.get("spec", {}).get("unschedulable") and not kept_away


def takes_machines(node: Object) -> bool:
    """Whether it is schedulable, and KubeVirt's agent on it works: that keeps the label `kubevirt.io/schedulable`."""
    return is_schedulable(node) and (node["metadata"].get("labels") or {}).get(RUNS_MACHINES) == "true"


def has_to_go(pod: Object) -> bool:
    """Whether a drain has to move a pod: not those of daemon sets, and not static (mirror) pods."""
    meta = pod["metadata"]
    if "kubernetes.io/config.mirror" in meta.get("annotations", {}):
        return False
    return not any(owner["kind"] == "DaemonSet" for owner in meta.get("ownerReferences", []))


def loss(pod: Object, own: Collection[str], *, local_data: bool) -> str:
    """What would be lost if a pod was evicted, for which `kubectl drain --ignore-daemonsets` refuses it; else empty.

    `own` are namespaces whose pods may lose their emptyDirs, as machines' launchers may, which keep nothing there; with
    `local_data` everybody's may, as with --delete-emptydir-data. What is over or on its way out loses nothing.
    """
    if not has_to_go(pod) or pod.get("status", {}).get("phase") in OVER or pod["metadata"].get("deletionTimestamp"):
        return ""
    if not _has_controller(pod):
        return "no controller would create it again"
    if local_data or pod["metadata"]["namespace"] in own or _is_launcher(pod):
        return ""
    names = local_volumes(pod)
    return f"its emptyDir {', '.join(names)} would be lost" if names else ""


def local_volumes(pod: Object) -> list[str]:
    """The names of a pod's emptyDirs, whose content an eviction deletes."""
    return [str(volume["name"]) for volume in pod.get("spec", {}).get("volumes") or [] if "emptyDir" in volume]


def refuse_losses(node: str, pods: Iterable[Object], own: Collection[str], *, local_data: bool) -> None:
    """Raises CannotRunError that names the first ten pods of a node that a drain must not evict, and why."""
    found = [(pod["metadata"], why) for pod in pods if (why := loss(pod, own, local_data=local_data))]
    if not found:
        return
    shown = "; ".join(f"{meta['namespace']}/{meta['name']}, {why}" for meta, why in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise CannotRunError(
        f"Node {node} has pods that `kubectl drain --ignore-daemonsets` would refuse to evict: {shown}{more}. Remove "
        "or move them, name other nodes with --nodes, or let emptyDirs be lost with --allow-bystanders."
    )


def _is_launcher(pod: Object) -> bool:
    key, _, value = LAUNCHER.partition("=")
    return bool((pod["metadata"].get("labels") or {}).get(key) == value)


def _has_controller(pod: Object) -> bool:
    return any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences", []))
