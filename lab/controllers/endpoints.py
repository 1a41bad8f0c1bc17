"""EndpointSlices for Services that have a selector, from the pods it selects."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lab.client import Object
from lab.controllers import selectors
from lab.controllers.runtime import Controller, itself
from lab.kinds import ENDPOINT_SLICE, POD, SERVICE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    annotations_of,
    condition_true,
    deleting,
    dig,
    final,
    key,
    labels,
    name,
    namespace,
    node_name,
    owner_reference,
    uid,
)

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
_SKIPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bring the slice of one Service up to date; a Service without a selector is its maker's business."""
    service = cluster.get(SERVICE, where)
    if service is None or deleting(service):
        return None
    selector = dig(service, "spec", "selector")
    if not selector:
        return None
    pods = [pod for pod in cluster.list(POD, namespace(service)) if selectors.equal_labels(selector, labels(pod))]
    wished = slice_of(service, pods)
    known = own_slice(cluster, service)
    if known is None:
        wished["metadata"]["generateName"] = f"{name(service)}-"
        await cluster.create(ENDPOINT_SLICE, wished)
        return None
    changed = copy.deepcopy(known)
    changed["endpoints"], changed["ports"] = wished["endpoints"], wished["ports"]
    changed["metadata"]["labels"] = wished["metadata"]["labels"]
    changed["metadata"]["annotations"] = wished["metadata"]["annotations"]
    await cluster.update(ENDPOINT_SLICE, known, changed)
    return None


def own_slice(cluster: Cluster, service: Object) -> Object | None:
    """The slice that this controller keeps for the Service."""
    for entry in cluster.list(ENDPOINT_SLICE, namespace(service)):
        tags = labels(entry)
        if tags.get(SERVICE_NAME) == name(service) and tags.get(MANAGED_BY) == MANAGER:
            return entry
    return None


def slice_of(service: Object, pods: Iterable[Object]) -> Object:
    """The EndpointSlice for a Service over the pods; the Service's labels and annotations are copied to it."""
    tolerant = bool(dig(service, "spec", "publishNotReadyAddresses"))
    marks = {mark: value for mark, value in annotations_of(service).items() if mark not in _SKIPPED_ANNOTATIONS}
    return {
        "metadata": {
            "namespace": namespace(service),
            "labels": {**labels(service), SERVICE_NAME: name(service), MANAGED_BY: MANAGER},
            "annotations": marks, "ownerReferences": [owner_reference(service, SERVICE)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod, tolerant) for pod in sorted(pods, key=name) if _addressable(pod)],
        "ports": [_port(port) for port in dig(service, "spec", "ports", default=[])],
    }


def _addressable(pod: Object) -> bool:
    return bool(dig(pod, "status", "podIP")) and not final(pod)


def _endpoint(pod: Object, tolerant: bool) -> Object:
    serving = condition_true(pod, "Ready")
    ready = tolerant or (serving and not deleting(pod))
    conditions = {"ready": ready, "serving": serving, "terminating": deleting(pod)}
    target = {"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)}
    return {
        "addresses": [pod["status"]["podIP"]], "conditions": conditions, "targetRef": target,
        "nodeName": node_name(pod),
    }


def _port(port: Object) -> Object:
    target = port.get("targetPort")
    number = target if isinstance(target, int) else port["port"]
    return {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}


def _services_of_pod(cluster: Cluster, pod: Object) -> Iterable[str]:
    """The Services that select the pod, and those whose slice still lists it."""
    found = []
    for service in cluster.list(SERVICE, namespace(pod)):
        selector = dig(service, "spec", "selector")
        if selector and (selectors.equal_labels(selector, labels(pod)) or _lists(cluster, service, pod)):
            found.append(key(service))
    return found


def _lists(cluster: Cluster, service: Object, pod: Object) -> bool:
    known = own_slice(cluster, service)
    return known is not None and any(
        dig(endpoint, "targetRef", "uid") == uid(pod) for endpoint in known.get("endpoints") or []
    )


def _service_of_slice(_: Cluster, entry: Object) -> Iterable[str]:
    tags = labels(entry)
    return [f"{namespace(entry)}/{tags[SERVICE_NAME]}"] if tags.get(MANAGED_BY) == MANAGER else []


CONTROLLER = Controller(
    "endpoints", reconcile, ((SERVICE, itself), (POD, _services_of_pod), (ENDPOINT_SLICE, _service_of_slice)),
)
