"""Schemas of snapshots, restores and clones: what their definitions require, as far as a user is likely to miss it."""

from __future__ import annotations

from collections.abc import Callable

from lab.api.errors import Cause, Object, invalid_value, required, unsupported
from lab.kinds import (
    VM_CLONE,
    VM_RESTORE,
    VM_SNAPSHOT,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
    VOLUME_SNAPSHOT_CONTENT,
    Kind,
)

READINESS_POLICIES = ("StopTarget", "WaitGracePeriod", "FailImmediate", "WaitEventually")
NAME_POLICIES = ("RandomizeNames", "PrefixTargetName")
DELETION_POLICIES = ("Delete", "Retain")


def causes(kind: Kind, body: Object) -> list[Cause]:
    """The fields of a new object that its schema refuses."""
    check = _SCHEMAS.get(kind)
    return check(body) if check else []


def _named(spec: Object, field: str) -> list[Cause]:
    """A reference that has to have a kind and a name."""
    reference = spec.get(field)
    if not isinstance(reference, dict):
        return [required(f"spec.{field}")]
    return [required(f"spec.{field}.{part}") for part in ("kind", "name") if part not in reference]


def _spec_schema(check: Callable[[Object], list[Cause]]) -> Callable[[Object], list[Cause]]:
    def found(body: Object) -> list[Cause]:
        spec = body.get("spec")
        return check(spec) if isinstance(spec, dict) else [required("spec")]

    return found


def _restore_schema(spec: Object) -> list[Cause]:
    found = _named(spec, "target")
    if "virtualMachineSnapshotName" not in spec:
        found.append(required("spec.virtualMachineSnapshotName"))
    policy = spec.get("targetReadinessPolicy")
    if policy is not None and policy not in READINESS_POLICIES:
        found.append(unsupported("spec.targetReadinessPolicy", f'"{policy}"', READINESS_POLICIES))
    return found


def _clone_schema(spec: Object) -> list[Cause]:
    found = _named(spec, "source")
    if "target" in spec:
        found += _named(spec, "target")
    policy = spec.get("volumeNamePolicy")
    if policy is not None and policy not in NAME_POLICIES:
        found.append(unsupported("spec.volumeNamePolicy", f'"{policy}"', NAME_POLICIES))
    return found


def _one_of(spec: Object, fields: tuple[str, str]) -> list[Cause]:
    source = spec.get("source")
    if not isinstance(source, dict):
        return [required("spec.source")]
    if sum(bool(source.get(field)) for field in fields) == 1:
        return []
    text = f"exactly one of {fields[0]} and {fields[1]} must be set"
    return [invalid_value("spec.source", '"object"', text)]


def _content_schema(spec: Object) -> list[Cause]:
    found = [required(f"spec.{field}") for field in ("driver", "volumeSnapshotRef") if field not in spec]
    return found + _deletion(spec, "spec.") + _one_of(spec, ("volumeHandle", "snapshotHandle"))


def _deletion(where: Object, prefix: str) -> list[Cause]:
    policy = where.get("deletionPolicy")
    if policy is None:
        return [required(f"{prefix}deletionPolicy")]
    if policy in DELETION_POLICIES:
        return []
    return [unsupported(f"{prefix}deletionPolicy", f'"{policy}"', DELETION_POLICIES)]


def _class_schema(body: Object) -> list[Cause]:
    return ([] if body.get("driver") else [required("driver")]) + _deletion(body, "")


_SCHEMAS: dict[Kind, Callable[[Object], list[Cause]]] = {
    VM_SNAPSHOT: _spec_schema(lambda spec: _named(spec, "source")),
    VM_RESTORE: _spec_schema(_restore_schema),
    VM_CLONE: _spec_schema(_clone_schema),
    VOLUME_SNAPSHOT: _spec_schema(
        lambda spec: _one_of(spec, ("volumeSnapshotContentName", "persistentVolumeClaimName"))
    ),
    VOLUME_SNAPSHOT_CONTENT: _spec_schema(_content_schema),
    VOLUME_SNAPSHOT_CLASS: _class_schema,
}
