"""The VM of a restore: an existing one brought back to the snapshot's state, or a new one made from it."""

from __future__ import annotations

import copy
import json

import jsonpatch
from jsonpointer import JsonPointerException

from lab.client import ApiError, ConflictError, Object
from lab.controllers import vm_restore_claims
from lab.controllers.machines import run_strategy
from lab.controllers.vm_restore_plan import RestoreError, last_restore
from lab.kinds import PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, dig, name, namespace, owner_reference

LAST = vm_restore_claims.LAST


async def apply(cluster: Cluster, restore: Object, content: Object, target: Object | None) -> None:
    """Change the VM, or make it; raises RestoreError when the API refuses it."""
    kept = content["spec"]["source"]["virtualMachine"]
    body = restored(restore, kept, target)
    try:
        if target is None:
            machine = await cluster.create(VIRTUAL_MACHINE, patched(body, restore["spec"].get("patches") or []))
        else:
            machine = await cluster.update(VIRTUAL_MACHINE, target, body)
    except ConflictError:
        raise
    except ApiError as error:
        raise RestoreError(error.message) from error
    if restore["spec"].get("volumeOwnershipPolicy") != "None":
        await _own_claims(cluster, restore, machine)


def restored(restore: Object, kept: Object, target: Object | None) -> Object:
    """The VM as the snapshot has it, with the restored claims; off when it is new, else with its own run strategy."""
    spec = copy.deepcopy(kept["spec"])
    entries = dig(restore, "status", "restores", default=[])
    names = {entry["volumeName"]: entry["persistentVolumeClaim"] for entry in entries}
    volumes = []
    for volume in dig(spec, "template", "spec", "volumes", default=[]):
        claim = names.get(volume["name"])
        if claim and "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["claimName"] = claim
        elif claim:
            volume = {"name": volume["name"], "persistentVolumeClaim": {"claimName": claim}}
        volumes.append(volume)
    spec["template"]["spec"]["volumes"] = volumes
    if target is None:
        annotations = {**(kept["metadata"].get("annotations") or {}), LAST: last_restore(restore)}
        meta = {
            "name": restore["spec"]["target"]["name"], "namespace": namespace(restore),
            "labels": dict(kept["metadata"].get("labels") or {}), "annotations": annotations,
        }
        return {"metadata": meta, "spec": _with_strategy(spec, "Halted", old_field="running" in spec)}
    body = copy.deepcopy(target)
    body["metadata"]["annotations"] = {**annotations_of(target), LAST: last_restore(restore)}
    old_field = "running" in target["spec"]
    body["spec"] = _with_strategy(spec, "Halted" if old_field else run_strategy(target), old_field=old_field)
    return body


def _with_strategy(spec: Object, strategy: str, *, old_field: bool) -> Object:
    spec = {field: value for field, value in spec.items() if field not in ("running", "runStrategy")}
    return {**spec, "running": False} if old_field else {**spec, "runStrategy": strategy}


def patched(body: Object, patches: list[str]) -> Object:
    """The VM with the restore's JSON patches; raises RestoreError for one that does not fit.

    As KubeVirt's patch library has it, `replace` of a member that is not there adds it. What the patches empty, Go
    leaves out when it writes the object, so that the defaults of a new VM apply.
    """
    if not patches:
        return body
    try:
        operations = [json.loads(text) for text in patches]
        for operation in operations:
            if operation.get("op") == "replace":
                operation["op"] = "add" if _member(operation["path"]) else "replace"
        changed: Object = jsonpatch.apply_patch({"apiVersion": VIRTUAL_MACHINE.api_version, **body}, operations)
    except (ValueError, KeyError, TypeError, jsonpatch.JsonPatchException, JsonPointerException) as error:
        raise RestoreError(f"error patching VM {name(body)}: {error}") from error
    domain = changed["spec"]["template"]["spec"]["domain"]
    for part in [dig(domain, "firmware", default={}), *dig(domain, "devices", "interfaces", default=[])]:
        for field in ("uuid", "serial", "macAddress"):
            if part.get(field) == "":
                del part[field]
    return changed


def _member(path: str) -> bool:
    """Whether a JSON pointer ends at a member of an object, not at an element of a list."""
    return not path.rpartition("/")[2].isdigit()


async def _own_claims(cluster: Cluster, restore: Object, machine: Object) -> None:
    """Give a new VM the claims that the snapshotted one owned."""
    for entry in dig(restore, "status", "restores", default=[]):
        where = f"{namespace(restore)}/{entry['persistentVolumeClaim']}"
        claim = cluster.get(PERSISTENT_VOLUME_CLAIM, where)
        if claim is None or claim["metadata"].get("ownerReferences"):
            continue
        if annotations_of(claim).get(vm_restore_claims.OWNED_BY_VM) != name(restore):
            continue
        wished = copy.deepcopy(claim)
        wished["metadata"]["ownerReferences"] = [owner_reference(machine, VIRTUAL_MACHINE)]
        del wished["metadata"]["annotations"][vm_restore_claims.OWNED_BY_VM]
        await cluster.update(PERSISTENT_VOLUME_CLAIM, claim, wished)
