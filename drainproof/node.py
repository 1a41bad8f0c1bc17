"""A node, in kubectl's words: cordon, uncordon, who is on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drainproof.api import NODES, PODS, Cluster, Object
from drainproof.errors import CannotRunError

RUNS_MACHINES = "kubevirt.io/schedulable"


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

    def unmanaged_pods(self) -> list[str]:
        """The running pods, as namespace/name, that nobody would create again: kubectl drains them only by force."""
        return [
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in self.pods_to_evict()
            if not _has_controller(pod) and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]


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


def _has_controller(pod: Object) -> bool:
    return any(owner.get("controller") for owner in pod["metadata"].get("ownerReferences", []))
