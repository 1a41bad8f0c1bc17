"""The part of kube-state-metrics that availability checks use."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from lab.client import Object
from lab.kinds import NODE, POD
from lab.machinery.cluster import Cluster
from lab.machinery.objects import condition, dig, name, namespace, node_name, phase, uid
from lab.monitoring.virt_controller import gauge

_STATES = ("true", "false", "unknown")
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")


def collect(cluster: Cluster) -> Iterator[Metric]:
    """Every family, from the cached nodes and pods as they are now."""
    yield from _nodes(cluster.list(NODE))
    yield from _pods(cluster.list(POD))


def _nodes(nodes: list[Object]) -> Iterator[Metric]:
    unschedulable = [({"node": name(node)}, float(bool(dig(node, "spec", "unschedulable")))) for node in nodes]
    text = "Whether a node can schedule new pods."
    yield gauge("kube_node_spec_unschedulable", text, ("node",), unschedulable)
    conditions = [
        ({"node": name(node), "condition": entry["type"], "status": state}, float(entry["status"].lower() == state))
        for node in nodes for entry in dig(node, "status", "conditions", default=[]) for state in _STATES
    ]
    text = "The condition of a cluster node."
    yield gauge("kube_node_status_condition", text, ("condition", "node", "status"), conditions)
    taints = [
        ({"node": name(node), "key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}, 1.0)
        for node in nodes for taint in dig(node, "spec", "taints", default=[])
    ]
    yield gauge("kube_node_spec_taint", "The taint of a cluster node.", ("effect", "key", "node", "value"), taints)


def _pods(pods: list[Object]) -> Iterator[Metric]:
    infos, ready, phases = [], [], []
    for pod in pods:
        who = {"pod": name(pod), "namespace": namespace(pod), "uid": uid(pod)}
        owner = dig(pod, "metadata", "ownerReferences", 0, default={})
        infos.append(({
            **who, "node": node_name(pod), "pod_ip": str(dig(pod, "status", "podIP", default="")),
            "host_ip": str(dig(pod, "status", "hostIP", default="")),
            "created_by_kind": owner.get("kind", "<none>"), "created_by_name": owner.get("name", "<none>"),
        }, 1.0))
        known = condition(pod, "Ready")
        if known:
            ready += [({**who, "condition": state}, float(known["status"].lower() == state)) for state in _STATES]
        phases += [({**who, "phase": each}, float(phase(pod) == each)) for each in _PHASES]
    base = ("namespace", "pod", "uid")
    labels = ("created_by_kind", "created_by_name", "host_ip", *base, "node", "pod_ip")
    yield gauge("kube_pod_info", "Information about pod.", labels, infos)
    text = "Describes whether the pod is ready to serve requests."
    yield gauge("kube_pod_status_ready", text, ("condition", *base), ready)
    yield gauge("kube_pod_status_phase", "The pods current phase.", (*base, "phase"), phases)
