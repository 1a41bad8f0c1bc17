"""metadata.managedFields: who owns which fields, and what an apply or another write makes of that.

The rules are those of Kubernetes' structured-merge-diff: an apply owns what it says, takes out what it said last time
and nobody else owns, and conflicts with the owners of what it would change; any other write takes what it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.api.errors import Object
from lab.api.field_paths import Fields, Path, decode, encode, field, is_field, with_ancestors
from lab.api.field_values import Changes, compare, field_set, merge, remove
from lab.kinds import Kind

APPLY, UPDATE = "Apply", "Update"
BEFORE_FIRST_APPLY = "before-first-apply"
"""Owns what an object had before its first apply, where nobody knows who wrote it."""
_META = field("metadata")
_OWNERLESS = frozenset(
    [(field("apiVersion"),), (field("kind"),), (_META,)]
    + [(_META, field(name)) for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion",
    )]
)
"""What nobody owns: identity, and what only the server writes."""


@dataclass(frozen=True)
class Manager:
    """Who writes; an update under another version or subresource counts as another manager."""

    name: str
    operation: str
    version: str = ""
    subresource: str = ""

    def __str__(self) -> str:
        """As a conflict names it."""
        shown = f'"{self.name}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return f"{shown} using {self.version}" if self.operation == UPDATE else shown


def updater(name: str, version: str, subresource: str = "") -> Manager:
    return Manager(name or "unknown", UPDATE, version, subresource)


def applier(name: str, subresource: str = "") -> Manager:
    return Manager(name, APPLY, "", subresource)


@dataclass(frozen=True)
class Owned:
    """The fields of one manager, the version in which it wrote them, and when they last changed ("" unknown)."""

    fields: Fields
    version: str
    time: str = ""


Owners = dict[Manager, Owned]


class ConflictsError(Exception):
    """An apply would change fields that others own: pairs of owner and field, ordered."""

    def __init__(self, conflicts: Sequence[tuple[Manager, Path]]) -> None:
        super().__init__(f"{len(conflicts)} conflicts")
        self.conflicts = conflicts


def parse(listed: Any) -> Owners:
    """Raises ValueError for what is no list of managedFields."""
    found = listed if isinstance(listed, list) else [None]
    owners: Owners = {}
    for entry in found:
        if not isinstance(entry, dict) or entry.get("operation") not in (APPLY, UPDATE):
            raise ValueError(f"no managedFields: {listed!r}")
        version, fields = str(entry.get("apiVersion", "")), entry.get("fieldsV1") or {}
        operation, subresource = entry["operation"], str(entry.get("subresource") or "")
        shown = version if operation == UPDATE else ""
        manager = Manager(str(entry.get("manager", "")), operation, shown, subresource)
        owners[manager] = Owned(decode(fields), version, str(entry.get("time") or ""))
    return owners


def entries(owners: Owners) -> list[Object]:
    """metadata.managedFields in the server's order: by operation, time (unknown first) and manager."""
    def order(pair: tuple[Manager, Owned]) -> tuple[str, ...]:
        manager, owned = pair
        return manager.operation, owned.time, manager.name, owned.version, manager.subresource

    return [_entry(manager, owned) for manager, owned in sorted(owners.items(), key=order) if owned.fields]


def _entry(manager: Manager, owned: Owned) -> Object:
    entry: Object = {"manager": manager.name, "operation": manager.operation, "apiVersion": owned.version}
    if owned.time:
        entry["time"] = owned.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": encode(owned.fields)}
    return entry | ({"subresource": manager.subresource} if manager.subresource else {})


def first_owner(kind: Kind, live: Object, manager: Manager, time: str) -> Owners:
    """All of an object that has no managedFields yet in the hands of one."""
    fields = _ownable(frozenset(compare(kind, {}, live).added))
    if kind.status:
        fields = frozenset(path for path in fields if path[0] != field("status"))
    return {manager: Owned(fields, kind.api_version, time)}


def created(kind: Kind, config: Object, manager: Manager, version: str, time: str) -> Owners:
    """Of an object that an apply brought about. Raises BadListError."""
    return {manager: Owned(_ownable(field_set(kind, config)), version, time)}


def apply(
    kind: Kind, live: Object, owners: Owners, config: Object, who: tuple[Manager, str, str], *,
    allowed: Callable[[Path], bool],
) -> tuple[Object, Owners]:
    """The object and its owners after an apply by `who` (manager, apiVersion, now).

    `allowed` says which fields may be taken from others. Raises ConflictsError, BadListError.
    """
    manager, version, time = who
    before = owners.get(manager)
    wished = _ownable(field_set(kind, config))
    owners = {**owners, manager: Owned(wished, version, before.time if before else "")}
    new = merge(kind, live, config)
    if before:
        new = _pruned(kind, new, before.fields, owners)
    if new != live:
        owners[manager] = replace(owners[manager], time=time)
    return new, _settle(owners, manager, compare(kind, live, new), allowed)


def _pruned(kind: Kind, body: Object, last: Fields, owners: Owners) -> Object:
    """Without what was applied last time and is owned by nobody now."""
    kept = with_ancestors(path for owned in owners.values() for path in owned.fields) | _OWNERLESS
    gone = {path for path in with_ancestors(last) if path not in kept and (is_field(path[-1]) or path in last)}
    return remove(kind, body, gone) if gone else body


def _settle(owners: Owners, manager: Manager, changes: Changes, allowed: Callable[[Path], bool]) -> Owners:
    taken = changes.modified | changes.added
    conflicts = [
        (other, path) for other, owned in owners.items() if other != manager
        for path in owned.fields & taken if not allowed(path)
    ]
    if conflicts:
        raise ConflictsError(sorted(conflicts, key=lambda pair: (str(pair[0]), pair[1])))
    lost = taken | changes.removed
    return {
        other: owned if other == manager else replace(owned, fields=owned.fields - lost)
        for other, owned in owners.items()
    }


def update(kind: Kind, old: Object, new: Object, owners: Owners, manager: Manager, time: str) -> Owners:
    """The owners after a write that is no apply: `manager` takes what it changed, nobody owns what is gone."""
    changes = compare(kind, old, new)
    taken = _ownable(frozenset(changes.added | changes.modified))
    left = {
        other: replace(owned, fields=owned.fields - taken - changes.removed) for other, owned in owners.items()
    }
    if taken:
        known = left.get(manager)
        left[manager] = Owned(taken | (known.fields if known else frozenset()), kind.api_version, time)
    return left


def _ownable(fields: Fields) -> Fields:
    return fields - _OWNERLESS


def without(body: Object) -> Object:
    """The object without its managedFields."""
    meta = body["metadata"]
    if "managedFields" not in meta:
        return body
    return {**body, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def after_write(kind: Kind, old: Object, new: Object, given: Any, manager: Manager, time: str) -> list[Object]:
    """managedFields after a write that is no apply; empty for an object that nobody has applied yet.

    `new` has none; `given` are those that the writer sent: an empty list makes the server forget them.
    """
    known: list[Object] = old["metadata"].get("managedFields") or []
    if not known or given == []:
        return []
    try:
        base = known if given is None else given
        owners = parse(base)
    except ValueError:
        base, owners = known, parse(known)
    plain, new = without(old), without(new)
    return base if plain == new else entries(update(kind, plain, new, owners, manager, time))
