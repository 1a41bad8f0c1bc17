"""The fields that the API server fills in when a core object is created."""

from __future__ import annotations

import base64
from collections.abc import Callable

from lab.api.errors import Object
from lab.api.store import Store
from lab.kinds import STORAGE_CLASS, Kind

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
_TOLERATED_SECONDS = 300
"""DefaultTolerationSeconds admission: how long a pod stays on a node that is not ready or unreachable."""


def apply(store: Store, kind: Kind, body: Object) -> Object:
    """Fill in `body`, which nobody else holds yet."""
    fill = _FILLERS.get(kind.name)
    if fill and isinstance(body.get("spec", {}), dict):
        fill(store, body)
    return body


def on_update(kind: Kind, body: Object) -> Object:
    """The body with what a change may have left open; the caller's object stays as it is."""
    if kind.name == "Secret":
        return _with_plain_strings(body)
    if kind.name != "Service":
        return body
    ports = [
        {"protocol": "TCP", "targetPort": port.get("port"), **port}
        for port in (body.get("spec") or {}).get("ports") or []
    ]
    spec = {**(body.get("spec") or {}), **({"ports": ports} if ports else {})}
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    return {**body, "spec": spec}


def _namespace(_: Store, body: Object) -> None:
    meta = body["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta.get("name", "")}
    body["spec"] = {"finalizers": ["kubernetes"]}
    body["status"] = {"phase": "Active"}


def _pod(_: Store, body: Object) -> None:
    spec = body.setdefault("spec", {})
    for key, value in (
        ("restartPolicy", "Always"), ("terminationGracePeriodSeconds", 30), ("dnsPolicy", "ClusterFirst"),
        ("securityContext", {}), ("schedulerName", "default-scheduler"), ("enableServiceLinks", True),
        ("preemptionPolicy", "PreemptLowerPriority"), ("priority", 0),
    ):
        spec.setdefault(key, value)
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
    tolerations = list(spec.get("tolerations") or [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(item.get("key") in (key, None) and item.get("effect") in ("NoExecute", None, "")
                   for item in tolerations):
            tolerations.append({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATED_SECONDS,
            })
    spec["tolerations"] = tolerations
    body["status"] = {"phase": "Pending", "qosClass": _quality(spec)}


def _quality(spec: Object) -> str:
    resources = [container["resources"] for container in spec.get("containers") or []]
    if not any(item.get("requests") or item.get("limits") for item in resources):
        return "BestEffort"
    guaranteed = all(
        {"cpu", "memory"} <= set(item.get("limits") or {})
        and (item.get("requests") or item["limits"]) == item["limits"]
        for item in resources
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _service(_: Store, body: Object) -> None:
    spec = body.setdefault("spec", {})
    for key, value in (
        ("type", "ClusterIP"), ("sessionAffinity", "None"), ("ipFamilies", ["IPv4"]),
        ("ipFamilyPolicy", "SingleStack"), ("internalTrafficPolicy", "Cluster"),
    ):
        spec.setdefault(key, value)
    if spec["type"] in ("LoadBalancer", "NodePort"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec.get("clusterIP"):
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    body["status"] = {"loadBalancer": {}}


def _claim(store: Store, body: Object) -> None:
    meta, spec = body["metadata"], body.setdefault("spec", {})
    if _CLAIM_FINALIZER not in (meta.get("finalizers") or []):
        meta["finalizers"] = [*(meta.get("finalizers") or []), _CLAIM_FINALIZER]
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("storageClassName") is None:
        for stored in store.list(STORAGE_CLASS):
            if (stored.body["metadata"].get("annotations") or {}).get(_DEFAULT_CLASS) == "true":
                spec["storageClassName"] = stored.name
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)
    body["status"] = {"phase": "Pending"}


def _volume(_: Store, body: Object) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    body["status"] = {"phase": "Pending"}


def _storage_class(_: Store, body: Object) -> None:
    body.setdefault("reclaimPolicy", "Delete")
    body.setdefault("volumeBindingMode", "Immediate")


def _budget(_: Store, body: Object) -> None:
    body["status"] = {
        "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
    }


def _with_plain_strings(body: Object) -> Object:
    """A Secret whose write-only `stringData` has become part of `data`."""
    plain = body.get("stringData") or {}
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
    rest = {key: value for key, value in body.items() if key != "stringData"}
    return {**rest, "data": {**(body.get("data") or {}), **encoded}} if encoded else rest


def _secret(_: Store, body: Object) -> None:
    body.update(_with_plain_strings(body))
    body.pop("stringData", None)
    body.setdefault("type", "Opaque")


def _event(_: Store, body: Object) -> None:
    body.setdefault("reportingComponent", "")
    body.setdefault("reportingInstance", "")


_FILLERS: dict[str, Callable[[Store, Object], None]] = {
    "Namespace": _namespace, "Pod": _pod, "Service": _service, "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume, "StorageClass": _storage_class, "PodDisruptionBudget": _budget, "Secret": _secret,
    "Event": _event,
}
