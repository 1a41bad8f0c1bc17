"""What may not change of a PersistentVolumeClaim, in the real server's words, with its difference of the two specs."""

from __future__ import annotations

import difflib
import json
from typing import Any

from lab.api.errors import Cause, Object, bad_request, forbidden_value
from lab.machinery.quantity import UNREADABLE, parse, readable

_TEXT = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_FIELDS = (
    "AccessModes", "Selector", "Resources", "VolumeName", "StorageClassName", "VolumeMode", "DataSource",
    "DataSourceRef", "VolumeAttributesClassName",
)
"""The fields of the Go type, in its order."""


def update_causes(old: Object, new: Object) -> list[Cause]:
    """A claim stays as it is; once it is bound it may ask for more, and for less down to what it has got.

    Raises StatusError for amounts that cannot be read.
    """
    before, after = (dict(body.get("spec") or {}) for body in (old, new))
    if not before.get("volumeName"):
        before["volumeName"] = after.get("volumeName")
    _check_amounts(after)
    status = old.get("status") or {}
    wanted = after
    if status.get("phase") == "Bound":
        after = {**after, "resources": _with_storage(after, _storage(before))}
        before["volumeAttributesClassName"] = after.get("volumeAttributesClassName")
    causes = [] if _shown(before) == _shown(after) else [forbidden_value("spec", f"{_TEXT}\n{_diff(before, after)}")]
    capacity = (status.get("capacity") or {}).get("storage", 0)
    if parse(capacity) >= parse(_storage(wanted)) < parse(_storage(before)):
        causes.append(forbidden_value("spec.resources.requests.storage", "field can not be less than status.capacity"))
    return causes


def _check_amounts(spec: Object) -> None:
    resources = spec.get("resources") or {}
    amounts = [*(resources.get("requests") or {}).values(), *(resources.get("limits") or {}).values()]
    if not all(map(readable, amounts)):
        raise bad_request(UNREADABLE)


def _storage(spec: Object) -> Any:
    return ((spec.get("resources") or {}).get("requests") or {}).get("storage", 0)


def _with_storage(spec: Object, storage: Any) -> Object:
    resources = spec.get("resources") or {}
    return {**resources, "requests": {**(resources.get("requests") or {}), "storage": storage}}


def _shown(spec: Object) -> Object:
    """A spec as the server compares and shows it: every field of the type, equal amounts written alike."""
    resources = spec.get("resources") or {}
    amounts = {
        part: {name: _plain(amount) for name, amount in (resources.get(part) or {}).items()} or None
        for part in ("limits", "requests")
    }
    given = {
        **spec, "resources": {"Limits": amounts["limits"], "Requests": amounts["requests"]},
        "volumeName": spec.get("volumeName") or "",
    }
    return {name: given.get(name[0].lower() + name[1:]) for name in _FIELDS}


def _plain(amount: Any) -> str:
    return f"{parse(amount).normalize():f}"


def _diff(before: Object, after: Object) -> str:
    """A unified difference of the two as indented JSON, without the lines that name files."""
    one, other = (json.dumps(_written(spec), indent=1).splitlines() for spec in (before, after))
    return "".join(f"{line}\n" for line in list(difflib.unified_diff(one, other, lineterm=""))[2:])


def _written(spec: Object) -> Object:
    """A spec with amounts as they were written."""
    resources = spec.get("resources") or {}
    amounts = {"Limits": resources.get("limits"), "Requests": resources.get("requests")}
    return {**_shown(spec), "Resources": amounts}
