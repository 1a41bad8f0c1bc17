"""The checks of core kinds that a user is likely to meet, with the real server's texts."""

from __future__ import annotations

import re
from collections.abc import Callable

from lab.api import claim_validation
from lab.api.errors import Cause, Object, forbidden_value, invalid_value, required, unsupported
from lab.kinds import Kind
from lab.machinery import quantity

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_DATA_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def causes(kind: Kind, body: Object) -> list[Cause]:
    check = _CHECKS.get(kind.name)
    return check(body) if check else []


def update_causes(kind: Kind, old: Object, new: Object) -> list[Cause]:
    check = _UPDATE_CHECKS.get(kind.name)
    return check(old, new) if check else []


def wrong_type(kind: Kind, body: Object) -> str:
    """What the server's decoder would say of a field with the wrong type; "" when the known fields decode."""
    if kind.name == "ConfigMap":
        for value in (body.get("data") or {}).values():
            if not isinstance(value, str):
                found = "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "object"
                return f"json: cannot unmarshal {found} into Go struct field ConfigMap.data of type string"
    if kind.name == "PersistentVolumeClaim":
        resources = (body.get("spec") or {}).get("resources") or {}
        for value in (resources.get("requests") or {}).values():
            if not quantity.readable(value):
                return quantity.UNREADABLE
    return ""


def _data(body: Object) -> list[Cause]:
    keys = [*(body.get("data") or {}), *(body.get("binaryData") or {})]
    return [
        invalid_value(f"data[{key}]", f'"{key}"', _DATA_KEY_TEXT) for key in keys if not _DATA_KEY.fullmatch(key)
    ]


def _service(body: Object) -> list[Cause]:
    spec = body.get("spec") or {}
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        return [required("spec.ports")]
    found = []
    for index, port in enumerate(ports):
        for key in ("port", "targetPort"):
            number = port.get(key)
            if isinstance(number, int) and not 1 <= number <= 65535:
                text = "must be between 1 and 65535, inclusive"
                found.append(invalid_value(f"spec.ports[{index}].{key}", str(number), text))
    return found


def _claim(body: Object) -> list[Cause]:
    spec = body.get("spec") or {}
    modes = spec.get("accessModes") or []
    found = [] if modes else [required("spec.accessModes", "at least 1 access mode is required")]
    found += [
        unsupported("spec.accessModes", f'"{mode}"', _ACCESS_MODES) for mode in modes if mode not in _ACCESS_MODES
    ]
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        found.append(required("spec.resources[storage]"))
    elif str(storage).startswith(("0", "-")) and not str(storage).startswith("0."):
        found.append(invalid_value("spec.resources[storage]", f'"{storage}"', "must be greater than zero"))
    return found


def _node(body: Object) -> list[Cause]:
    found = []
    seen = set()
    for index, taint in enumerate((body.get("spec") or {}).get("taints") or []):
        where = f"metadata.taints[{index}]"
        effect = taint.get("effect", "")
        if effect not in _EFFECTS:
            found.append(unsupported(f"{where}.effect", f'"{effect}"', _EFFECTS))
        if (taint.get("key"), effect) in seen:
            shown = (f'{{"Key":"{taint.get("key")}","Value":"{taint.get("value", "")}","Effect":"{effect}",'
                     '"TimeAdded":null}')
            text = f"Duplicate value: {shown}: taints must be unique by key and effect pair"
            found.append(("FieldValueDuplicate", where, text))
        seen.add((taint.get("key"), effect))
    return found


def _lease(body: Object) -> list[Cause]:
    duration = (body.get("spec") or {}).get("leaseDurationSeconds")
    if isinstance(duration, int) and duration <= 0:
        return [invalid_value("spec.leaseDurationSeconds", str(duration), "must be greater than 0")]
    return []


def _event(body: Object) -> list[Cause]:
    namespace = (body.get("involvedObject") or {}).get("namespace", "")
    home = body["metadata"].get("namespace", "")
    if namespace == home or (not namespace and home == "default"):
        return []
    return [invalid_value("involvedObject.namespace", f'"{namespace}"', "does not match event.namespace")]


def _pod(body: Object) -> list[Cause]:
    containers = (body.get("spec") or {}).get("containers") or []
    if not containers:
        return [required("spec.containers")]
    found = []
    for index, container in enumerate(containers):
        if not container.get("name"):
            found.append(required(f"spec.containers[{index}].name"))
        if not container.get("image"):
            found.append(required(f"spec.containers[{index}].image"))
    return found


def _immutable_data(old: Object, new: Object) -> list[Cause]:
    if not old.get("immutable") or old.get("data") == new.get("data"):
        return []
    return [forbidden_value("data", "field is immutable when `immutable` is set")]


def _fixed_address(old: Object, new: Object) -> list[Cause]:
    before = (old.get("spec") or {}).get("clusterIP")
    after = (new.get("spec") or {}).get("clusterIP")
    if not before or not after or before == after or (new.get("spec") or {}).get("type") == "ExternalName":
        return []
    return [invalid_value("spec.clusterIPs[0]", f'["{after}"]', "may not change once set")]


def _fixed_node_name(old: Object, new: Object) -> list[Cause]:
    before = (old.get("spec") or {}).get("nodeName")
    if not before or before == (new.get("spec") or {}).get("nodeName"):
        return []
    text = ("pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
            "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)")
    return [forbidden_value("spec", text)]


_CHECKS: dict[str, Callable[[Object], list[Cause]]] = {
    "ConfigMap": _data, "Secret": _data, "Service": _service, "PersistentVolumeClaim": _claim, "Node": _node,
    "Lease": _lease, "Event": _event, "Pod": _pod,
}
_UPDATE_CHECKS: dict[str, Callable[[Object, Object], list[Cause]]] = {
    "ConfigMap": _immutable_data, "Secret": _immutable_data, "Service": _fixed_address,
    "PersistentVolumeClaim": claim_validation.update_causes, "Pod": _fixed_node_name,
}
