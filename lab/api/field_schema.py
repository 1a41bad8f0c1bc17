"""What server-side apply has to know of a field: which lists merge by which keys, which maps are replaced as a whole.

From x-kubernetes-list-type, -list-map-keys and -map-type in the OpenAPI of Kubernetes 1.36 and in KubeVirt 1.9's CRDs.
Field names mean the same in all kinds served here, but for those that depend on the kind. What is unknown is atomic if
it is a list, and granular if it is a map, as the real schemas default.
"""

from __future__ import annotations

from typing import Any

from lab.api.errors import Object
from lab.api.field_paths import Path, field, is_field, keyed, valued
from lab.kinds import Kind

SET: tuple[str, ...] = ()
"""The keys of a list whose plain values are its identity."""
_METADATA_LISTS = {"ownerReferences": ("uid",), "finalizers": SET}
_CORE_LISTS = {
    "addresses": ("type",), "claims": ("name",), "conditions": ("type",), "containers": ("name",), "env": ("name",),
    "ephemeralContainers": ("name",), "hostAliases": ("ip",), "imagePullSecrets": ("name",),
    "initContainers": ("name",), "podCIDRs": SET, "podIPs": ("ip",), "resourceClaims": ("name",),
    "schedulingGates": ("name",), "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"), "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",), "volumes": ("name",),
}
_CUSTOM_LISTS = {
    "resourceClaims": ("name",), "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "utilityVolumes": ("name",),
}
_PORTS = {"Service": ("port", "protocol"), "Pod": ("containerPort", "protocol")}
_ATOMIC_KINDS = {"ServiceAccount": ("imagePullSecrets",), "EndpointSlice": ("conditions", "addresses")}
_KEY_DEFAULTS = {"protocol": "TCP"}

_CORE_ATOMIC_MAPS = frozenset((
    "configMapKeyRef", "dataSource", "fieldRef", "involvedObject", "labelSelector", "namespaceSelector", "nodeSelector",
    "preference", "related", "required", "requiredDuringSchedulingIgnoredDuringExecution", "resourceFieldRef",
    "roleRef", "secretKeyRef", "secretRef", "selector",
))
_CUSTOM_ATOMIC_MAPS = frozenset((
    "labelSelector", "namespaceSelector", "requiredDuringSchedulingIgnoredDuringExecution", "source", "target",
))
_MAPS = frozenset((
    "allocatable", "annotations", "binaryData", "capacity", "data", "labels", "limits", "matchLabels", "overhead",
    "parameters", "requests", "volumeAttributes",
))
"""Maps of core kinds whose keys are the user's."""
ABSENT: Any = object()
"""Stands for a field that is not there, unlike one that is null."""


class BadListError(Exception):
    """A list that merges by key has an element without its key, or two with the same."""


def children(kind: Kind, path: Path, value: Any) -> Object | None:
    """The elements below a field, by path element; None for a leaf, which is owned as a whole.

    Raises BadListError.
    """
    name = path[-1][2:] if path and is_field(path[-1]) else ""
    if isinstance(value, dict) and value:
        atomic = _CUSTOM_ATOMIC_MAPS if kind.custom else _CORE_ATOMIC_MAPS
        whole = name in atomic or (len(path) > 1 and path[-2] == field("ownerReferences"))
        return None if whole else {field(key): below for key, below in value.items()}
    if isinstance(value, list) and value:
        keys = _keys(kind, path, name)
        return None if keys is None else _elements(value, keys)
    return None


def _keys(kind: Kind, path: Path, name: str) -> tuple[str, ...] | None:
    if path[:-1] == (field("metadata"),):
        return _METADATA_LISTS.get(name)
    if kind.custom:
        return _CUSTOM_LISTS.get(name)
    if name in _ATOMIC_KINDS.get(kind.name, ()):
        return None
    return _PORTS.get(kind.name) if name == "ports" else _CORE_LISTS.get(name)


def _elements(items: list[Any], keys: tuple[str, ...]) -> Object:
    found: Object = {}
    for index, item in enumerate(items):
        element = _element(item, keys, index)
        if element in found:
            raise BadListError(f"duplicate entries for key {element[2:]}")
        found[element] = item
    return found


def _element(item: Any, keys: tuple[str, ...], index: int) -> str:
    if keys == SET:
        return valued(item)
    if not isinstance(item, dict):
        raise BadListError(f"element {index}: expected map, got {item!r}")
    values = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in keys}
    for key, value in values.items():
        if value is None:
            raise BadListError(f"element {index}: associative list with keys has an element that omits key field "
                               f'"{key}" (and doesn\'t have default value)')
    return keyed(values)


def applied_itself(kind: Kind, path: Path) -> bool:
    """Whether who applies something below this container owns the container too: elements, and keys of free maps."""
    if not is_field(path[-1]):
        return True
    # KubeVirt leaves a template's metadata without a schema, so that the keys in it are the user's.
    return kind.custom and len(path) > 3 and path[2] == field("metadata")


def updated_itself(kind: Kind, path: Path) -> bool:
    """Whether who adds this container by an update owns it too: not where a core kind's structure always has it."""
    if kind.custom:
        return path != (field("metadata"),)
    name = path[-1][2:]
    return not is_field(path[-1]) or name in _MAPS or name in _CORE_LISTS or name in (*_METADATA_LISTS, "ports")
