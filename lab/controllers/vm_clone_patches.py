"""What makes a clone another VM than its source: MAC addresses, firmware identity, filtered labels and annotations."""

from __future__ import annotations

import json
import re

from lab.client import Object
from lab.machinery.objects import dig

_LAST_RESTORE = "restore.kubevirt.io/lastRestoreUID"
"""Needed by the restore, so that no filter removes it."""


def patches(machine: Object, spec: Object) -> list[str]:
    """The JSON patches, each as text, that a clone's restore applies to the VM of the snapshot."""
    operations = [*_macs(machine, spec), *_serial(machine, spec)]
    own = {field: value for field, value in _of(machine, "metadata", "annotations").items() if field != _LAST_RESTORE}
    template = spec.get("template") or {}
    for where, members, filters in (
        ("/metadata/labels", _of(machine, "metadata", "labels"), spec.get("labelFilters")),
        ("/metadata/annotations", own, spec.get("annotationFilters")),
        ("/spec/template/metadata/labels", _of(machine, "spec", "template", "metadata", "labels"),
         template.get("labelFilters")),
        ("/spec/template/metadata/annotations", _of(machine, "spec", "template", "metadata", "annotations"),
         template.get("annotationFilters")),
    ):
        operations += _filtered(where, members, filters)
    if _firmware(machine):
        operations.append({"op": "replace", "path": "/spec/template/spec/domain/firmware/uuid", "value": ""})
    return [*(json.dumps(operation) for operation in operations), *(spec.get("patches") or [])]


def _of(machine: Object, *path: str) -> Object:
    found: Object = dig(machine, *path, default={})
    return found


def _firmware(machine: Object) -> Object:
    return _of(machine, "spec", "template", "spec", "domain", "firmware")


def _macs(machine: Object, spec: Object) -> list[Object]:
    wanted = spec.get("newMacAddresses") or {}
    interfaces = dig(machine, "spec", "template", "spec", "domain", "devices", "interfaces", default=[])
    return [
        {
            "op": "replace", "path": f"/spec/template/spec/domain/devices/interfaces/{index}/macAddress",
            "value": wanted.get(interface["name"], ""),
        }
        for index, interface in enumerate(interfaces)
    ]


def _serial(machine: Object, spec: Object) -> list[Object]:
    if not _firmware(machine):
        return []
    value = spec.get("newSMBiosSerial") or ""
    return [{"op": "replace", "path": "/spec/template/spec/domain/firmware/serial", "value": value}]


def _filtered(where: str, members: Object, filters: list[str] | None) -> list[Object]:
    """Removals of the members that the filters do not let through; without filters nothing is removed.

    A filter is a regular expression, found anywhere in the member's name; with "!" before it, it excludes, and wins.
    """
    if filters is None:
        return []
    wanted = [".*" if entry == "*" else entry for entry in filters if not entry.startswith("!")]
    unwanted = [entry[1:] for entry in filters if entry.startswith("!")]
    return [
        {"op": "remove", "path": f"{where}/{_escaped(member)}"} for member in members
        if not _matches(wanted, member) or _matches(unwanted, member)
    ]


def _matches(expressions: list[str], text: str) -> bool:
    for expression in expressions:
        try:
            if re.search(expression, text):
                return True
        except re.error:  # as KubeVirt: a filter that is no regular expression matches nothing
            continue
    return False


def _escaped(member: str) -> str:
    return member.replace("~", "~0").replace("/", "~1")
