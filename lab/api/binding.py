"""pods/binding: the scheduler's assignment of a pod to a node."""

from __future__ import annotations

from lab.api.caller import Caller
from lab.api.errors import Object, StatusError, invalid_noun, required
from lab.api.resources import Place, Resources, now


def bind(resources: Resources, place: Place, body: Object, caller: Caller) -> Object:
    """Set spec.nodeName and PodScheduled. Raises StatusError 404, 409 when bound already, 422 without a target."""
    target = (body.get("target") or {}).get("name", "")
    if not target:
        raise invalid_noun("Binding", place.name, {"name": place.name, "kind": "Binding"}, [required("target.name")])

    def assign(pod: Object) -> Object:
        bound = (pod.get("spec") or {}).get("nodeName")
        if bound:
            raise _conflict(place.name, f'pod {place.name} is already assigned to node "{bound}"')
        if "deletionTimestamp" in pod["metadata"]:
            raise _conflict(place.name, f"pod {place.name} is being deleted, cannot be assigned to a host")
        status = pod.get("status") or {}
        conditions = [item for item in status.get("conditions") or [] if item.get("type") != "PodScheduled"]
        conditions.append({
            "type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now(),
        })
        meta = pod["metadata"]
        annotations = {**(meta.get("annotations") or {}), **((body.get("metadata") or {}).get("annotations") or {})}
        if annotations:
            meta = {**meta, "annotations": annotations}
        return {
            **pod, "metadata": meta, "spec": {**pod["spec"], "nodeName": target},
            "status": {**status, "conditions": conditions},
        }

    resources.update(Place(place.kind, place.namespace, place.name, "binding"), assign, caller)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _conflict(name: str, text: str) -> StatusError:
    message = f'Operation cannot be fulfilled on pods/binding "{name}": {text}'
    return StatusError(409, "Conflict", message, {"name": name, "kind": "pods/binding"})
