"""Strategic merge patch: lists of objects merge by the key that the core kinds publish for them."""

from __future__ import annotations

from typing import Any

from lab.api.errors import Object, StatusError
from lab.kinds import Kind

MERGE_KEYS: dict[str, str] = {
    "ownerReferences": "uid",
    "conditions": "type",
    "addresses": "type",
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "env": "name",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "podIPs": "ip",
    "hostIPs": "ip",
    "topologySpreadConstraints": "topologyKey",
    "resourceClaims": "name",
    "readinessGates": "",
    "secrets": "name",
}
"""Merge key by field name (patchMergeKey in the OpenAPI of Kubernetes 1.36); "ports" depends on its parent."""

PRIMITIVE_LISTS = ("finalizers",)
"""Lists of plain values that merge as sets; podCIDRs, which does too, is written by nobody here."""

_DIRECTIVES = ("$patch", "$retainKeys")


def strategic_merge(kind: Kind, body: Object, patch: Object) -> Object:
    """The merged copy. Raises StatusError 400 for a list element without its merge key."""
    merged: Object = _merge(kind, "", body, patch)
    return merged


def _merge_key(kind: Kind, field: str) -> str:
    if kind.name == "PersistentVolumeClaim" or kind.name == "EndpointSlice":
        return "type" if field == "conditions" and kind.name == "PersistentVolumeClaim" else ""
    if kind.name == "PersistentVolume" or kind.name == "StorageClass":
        return "uid" if field == "ownerReferences" else ""
    if field == "ports":
        return "port" if kind.name == "Service" else "containerPort"
    return MERGE_KEYS.get(field, "")


def _merge(kind: Kind, field: str, target: Any, patch: Any) -> Any:
    if isinstance(patch, dict):
        return _merge_object(kind, target, patch)
    if isinstance(patch, list):
        return _merge_list(kind, field, target, patch)
    return patch


def _merge_object(kind: Kind, target: Any, patch: Object) -> Any:
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    orders = {}
    for key, value in patch.items():
        if key in _DIRECTIVES:
            continue
        if key.startswith("$setElementOrder/"):
            orders[key.partition("/")[2]] = value
        elif key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(kind, key, result.get(key), value)
    for name, order in orders.items():
        if isinstance(result.get(name), list):
            result[name] = _ordered(result[name], order, _merge_key(kind, name))
    return result


def _merge_list(kind: Kind, field: str, target: Any, patch: list[Any]) -> list[Any]:
    current = list(target) if isinstance(target, list) else []
    key = _merge_key(kind, field)
    if not key and field in PRIMITIVE_LISTS:
        return current + [item for item in patch if item not in current]
    if not key or not all(isinstance(item, dict) for item in patch):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    for item in patch:
        current = _merge_element(kind, key, current, item)
    return current


def _merge_element(kind: Kind, key: str, current: list[Any], item: Object) -> list[Any]:
    if key not in item:
        message = f"map: {item} does not contain declared merge key: {key}"
        raise StatusError(400, "BadRequest", message)
    if item.get("$patch") == "delete":
        return [known for known in current if known.get(key) != item[key]]
    for index, known in enumerate(current):
        if known.get(key) == item[key]:
            return [*current[:index], _merge_object(kind, known, item), *current[index + 1:]]
    return [*current, _merge_object(kind, {}, item)]


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Items named in the order come in that order; the others keep their places after what preceded them."""
    wanted = [entry.get(key) if isinstance(entry, dict) else entry for entry in order]

    def identity(item: Any) -> Any:
        return item.get(key) if isinstance(item, dict) else item

    positions = {value: index for index, value in enumerate(wanted)}
    listed = sorted((item for item in items if identity(item) in positions), key=lambda item: positions[identity(item)])
    queue = iter(listed)
    return [next(queue) if identity(item) in positions else item for item in items]
