"""A node, in kubectl's words: cordon, uncordon, who is on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drainproof.api import NODES, PODS, Cluster, Object


@dataclass(frozen=True, slots=True)
class Node:
    """A handle on one node; holds no state of its own."""

    cluster: Cluster
    name: str

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
        taints = [taint for taint in node["spec"].get("taints") or [] if keep(taint)] + list(more)
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        self.cluster.patch(NODES, self.name, {"metadata": version, "spec": {"taints": taints or None}})

    def pods_to_evict(self) -> list[Object]:
        """The pods that a drain has to move: all but those of daemon sets and static (mirror) pods."""
        pods = self.cluster.items(PODS, fields=f"spec.nodeName={self.name}")
        return [pod for pod in pods if not _stays(pod)]


def is_schedulable(node: Object) -> bool:
    """Whether a node object is Ready, not cordoned, and free of taints that keep ordinary pods away."""
    conditions = {condition["type"]: condition["status"] for condition in node.get("status", {}).get("conditions", [])}
    taints = node.get("spec", {}).get("taints") or []
    kept_away = any(taint["effect"] in ("NoSchedule", "NoExecute") for taint in taints)
    return conditions.get("Ready") == "True" and not node.get("spec", {}).get("unschedulable") and not kept_away


def _stays(pod: Object) -> bool:
    meta = pod["metadata"]
    if "kubernetes.io/config.mirror" in meta.get("annotations", {}):
        return True
    return any(owner["kind"] == "DaemonSet" for owner in meta.get("ownerReferences", []))
