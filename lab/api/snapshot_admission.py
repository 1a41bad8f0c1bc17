"""Webhooks of snapshots, restores and clones, and what a VM may not have changed while one is made."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from typing import Any

from lab.api import snapshot_schemas
from lab.api.errors import Cause, Object, denied, invalid, invalid_value
from lab.api.store import Store
from lab.kinds import VIRTUAL_MACHINE, VM_CLONE, VM_RESTORE, VM_SNAPSHOT, VOLUME_SNAPSHOT, Kind

RESTORE_POLICIES = ("InPlace", "RandomizeNames", "PrefixTargetName")
OWNERSHIP_POLICIES = ("Vm", "None")
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_VM_VALIDATOR = "virtualmachine-validator.kubevirt.io"
_SNAPSHOT_VALIDATOR = "virtualmachinesnapshot-validator.snapshot.kubevirt.io"
_RESTORE_VALIDATOR = "virtualmachinerestore-validator.snapshot.kubevirt.io"
_CLONE_VALIDATOR = "vm-clone-validator.kubevirt.io"
_VALIDATORS = {VM_SNAPSHOT: _SNAPSHOT_VALIDATOR, VM_RESTORE: _RESTORE_VALIDATOR}


def on_create(store: Store, kind: Kind, body: Object) -> Object:
    """The body with defaults. Raises StatusError as the schema or the webhook refuses it."""
    causes = snapshot_schemas.causes(kind, body)
    if causes:
        raise invalid(kind, str(body["metadata"].get("name", "")), causes)
    if kind == VM_SNAPSHOT:
        _refuse(_SNAPSHOT_VALIDATOR, _reference_causes(body["spec"]["source"], "spec.source"))
    elif kind == VM_RESTORE:
        body["spec"].setdefault("targetReadinessPolicy", "WaitGracePeriod")
        _refuse(_RESTORE_VALIDATOR, _restore_causes(store, body))
    elif kind == VM_CLONE:
        _name_target(body["spec"])
        _refuse(_CLONE_VALIDATOR, _clone_causes(body["spec"]))
    return body


def on_update(kind: Kind, old: Object, new: Object) -> None:
    """Raises StatusError with the webhook's refusal."""
    if old.get("spec") == new.get("spec"):
        return
    if kind in _VALIDATORS:
        _refuse(_VALIDATORS[kind], [("FieldValueInvalid", "spec", "spec in immutable after creation")])
    elif kind == VIRTUAL_MACHINE:
        _refuse(_VM_VALIDATOR, _machine_causes(old, new))
    elif kind == VOLUME_SNAPSHOT:
        source = [(body.get("spec") or {}).get("source") for body in (old, new)]
        if source[0] != source[1]:
            text = "persistentVolumeClaimName is immutable"
            cause = invalid_value("spec.source", '"object"', text)
            raise invalid(kind, str(new["metadata"].get("name", "")), [cause])


def _refuse(webhook: str, causes: Sequence[Cause]) -> None:
    if causes:
        raise denied(webhook, 422, ", ".join(message for _, _, message in causes), causes)


def _machine_causes(old: Object, new: Object) -> list[Cause]:
    """What a VM must keep while it is restored or snapshotted."""
    status = new.get("status") or {}
    restore, snapshot = status.get("restoreInProgress"), status.get("snapshotInProgress")
    if restore and _strategy(old["spec"]) != _strategy(new["spec"]):
        text = f'Cannot update VM runStrategy until restore "{restore}" completes'
        return [("FieldValueNotSupported", "spec", text)]
    if not snapshot:
        return []
    volumes = [((body["spec"]["template"].get("spec") or {}).get("volumes")) for body in (old, new)]
    if volumes[0] != volumes[1]:
        text = f'Cannot update vm disks or volumes until snapshot "{snapshot}" completes'
        return [("FieldValueNotSupported", "spec", text)]
    if _strategy(old["spec"]) != _strategy(new["spec"]):
        text = f'Cannot update vm running state until snapshot "{snapshot}" completes'
        return [("FieldValueNotSupported", "spec", text)]
    return []


def _strategy(spec: Object) -> Any:
    return spec.get("runStrategy") or bool(spec.get("running"))


def _reference_causes(reference: Object, field: str) -> list[Cause]:
    """A reference to a VirtualMachine of KubeVirt, in the words of its webhooks."""
    if reference.get("apiGroup") is None:
        return [("FieldValueNotFound", f"{field}.apiGroup", "missing apiGroup")]
    if reference["apiGroup"] != VIRTUAL_MACHINE.group:
        return [("FieldValueInvalid", f"{field}.apiGroup", "invalid apiGroup")]
    if reference.get("kind") != VIRTUAL_MACHINE.name:
        return [("FieldValueInvalid", f"{field}.kind", "invalid kind")]
    return []


def _restore_causes(store: Store, body: Object) -> list[Cause]:
    spec, name = body["spec"], "spec.volumeRestoreOverrides"
    causes = _reference_causes(spec["target"], "spec.target")
    if not causes:
        for index, override in enumerate(spec.get("volumeRestoreOverrides") or []):
            if not override.get("volumeName"):
                where = f"{name}[{index}].volumeName"
                causes.append(("FieldValueRequired", where, "must provide a volume name"))
            if not any(override.get(field) for field in ("restoreName", "annotations", "labels")):
                causes.append(("FieldValueRequired", f"{name}[{index}]", "must provide at least one overriden field"))
        causes += _policy(spec, "volumeRestorePolicy", RESTORE_POLICIES, "volume restore policy")
        causes += _policy(spec, "volumeOwnershipPolicy", OWNERSHIP_POLICIES, "volume ownership policy")
        causes += _patch_causes(spec.get("patches") or [])
    for stored in store.list(VM_RESTORE, body["metadata"].get("namespace", "")):
        same = (stored.body.get("spec") or {}).get("target") == spec["target"]
        if same and not (stored.body.get("status") or {}).get("complete"):
            text = f'VirtualMachineRestore "{stored.name}" in progress'
            causes.append(("FieldValueInvalid", "spec.target", text))
    return causes


def _policy(spec: Object, field: str, known: Sequence[str], noun: str) -> list[Cause]:
    value = spec.get(field)
    if value is None or value in known:
        return []
    return [("FieldValueInvalid", f"spec.{field}", f'{noun} "{value}" doesn\'t exist')]


def _patch_causes(patches: Sequence[str]) -> list[Cause]:
    """Patches may reach labels, annotations and the spec."""
    causes: list[Cause] = []
    for patch in patches:
        try:
            path = str(json.loads(patch)["path"])
        except (ValueError, KeyError, TypeError):
            text = f'patch format is not valid - one ":" expected in a single key-value json patch: {patch}'
            causes.append(("FieldValueInvalid", "spec.patches", text))
            continue
        if not path.startswith(("/metadata/labels/", "/metadata/annotations/", "/spec/")):
            text = f'patching is valid only for elements under /spec/ only: "path": "{path}"'
            causes.append(("FieldValueInvalid", "spec.patches", text))
    return causes


def _name_target(spec: Object) -> None:
    """The clone mutator: a target that is not named gets a name."""
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(5))
    target = spec.setdefault("target", {"apiGroup": VIRTUAL_MACHINE.group, "kind": VIRTUAL_MACHINE.name})
    if not target.get("name"):
        target["name"] = f"clone-{spec['source'].get('name', '')}-{suffix}"


def _clone_causes(spec: Object) -> list[Cause]:
    template = spec.get("template") or {}
    causes = _filter_causes(spec.get("annotationFilters"), "spec.annotations")
    causes += _filter_causes(spec.get("labelFilters"), "spec.labels")
    causes += _filter_causes(template.get("annotationFilters"), "spec.template.annotations")
    causes += _filter_causes(template.get("labelFilters"), "spec.template.labels")
    source, target = spec["source"], spec["target"]
    if source["kind"] not in (VIRTUAL_MACHINE.name, VM_SNAPSHOT.name):
        causes.append(("FieldValueInvalid", "spec.Source.Kind", "Source kind is not supported"))
    if target["kind"] != VIRTUAL_MACHINE.name:
        causes.append(("FieldValueInvalid", "spec.Target.Kind", "Target kind is not supported"))
    if not source.get("apiGroup"):
        causes.append(("FieldValueInvalid", "spec.Source.APIGroup", "Source's APIGroup cannot be empty"))
    if not source["name"]:
        causes.append(("FieldValueInvalid", "spec.Source.Name", "Source's name cannot be empty"))
    if source["kind"] == VIRTUAL_MACHINE.name and target["name"] == source["name"]:
        text = "Target name cannot be equal to source name when both are VirtualMachines"
        causes.append(("FieldValueInvalid", "spec.target.name", text))
    for interface, mac in (spec.get("newMacAddresses") or {}).items():
        if mac and not _MAC.fullmatch(mac):
            text = f"interface {interface} has malformed MAC address ({mac})."
            causes.append(("FieldValueInvalid", f"spec.newMacAddresses.{interface}", text))
    return causes


def _filter_causes(filters: Sequence[str] | None, field: str) -> list[Cause]:
    causes: list[Cause] = []
    for entry in filters or []:
        if entry == "!":
            causes.append(("FieldValueInvalid", field, "a negation character is not a valid filter"))
        if "!" in entry[1:]:
            text = (f"{field} filter {entry} is invalid: cannot contain a negation character (!); FilterRules: "
                    "NegationChar can be only used at the beginning of the filter")
            causes.append(("FieldValueInvalid", field, text))
        if "*" in entry[:-1]:
            text = (f"{field} filter {entry} is invalid: cannot contain a wildcard character (*); FilterRules: "
                    "WildcardChar can be only at the end of the filter")
            causes.append(("FieldValueInvalid", field, text))
    return causes
