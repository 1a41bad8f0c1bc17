"""VirtualMachineRestores: new claims from a snapshot's volumes, then the VM changed, or made, to use them."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lab.client import ApiError, ConflictError, NotFoundError, Object
from lab.controllers import vm_restore_claims, vm_restore_target
from lab.controllers.runtime import Controller, itself
from lab.controllers.vm_restore_plan import RestoreError, last_restore, snapshot_of
from lab.kinds import PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, VM_RESTORE, VM_SNAPSHOT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    age,
    annotations_of,
    condition,
    deleting,
    dig,
    drop_finalizer,
    finalizers,
    key,
    name,
    namespace,
    owner_reference,
    set_condition,
    stamp,
    uid,
)

COMPONENT = "restore-controller"
PROTECTION = "snapshot.kubevirt.io/vmrestore-protection"
GRACE_SECONDS = 300.0
"""DefaultGracePeriod."""
RETRY_SECONDS = 5.0
POLL_SECONDS = 1.0
INITIALIZING = "Initializing VirtualMachineRestore"
_PLEASE = "Waiting for target VM to be powered off. Please stop the restore target to proceed with restore"
_GRACE = f"{_PLEASE}, or the operation will fail after 5m0s"
_EXCEEDED = "Restore target failed to be ready within 5m0s. Please power off the target VM before attempting restore"
_STOPPING = "Automatically stopping restore target for restore operation"
_MUST_BE_OFF = "Restore target VMI must be powered off before restore operation"
_STILL_THERE = "Restore target VMI still exists, please stop the restore target to proceed with restore"
_OTHER_TARGET = "restore source and restore target are different but restore target already exists"


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bring one restore a step further."""
    restore = cluster.get(VM_RESTORE, where)
    if restore is None:
        return None
    if not restore.get("status") and not deleting(restore):
        wished = copy.deepcopy(restore)
        wished["status"] = {"complete": False}
        _progress(wished, "True", INITIALIZING, INITIALIZING)
        await cluster.update(VM_RESTORE, restore, wished)
        return 0.0
    target = cluster.get(VIRTUAL_MACHINE, f"{namespace(restore)}/{restore['spec']['target']['name']}")
    if deleting(restore):
        return await _let_go(cluster, restore, target)
    if not progressing(restore):
        return None
    wished = copy.deepcopy(restore)
    add_finalizer(wished, PROTECTION)
    if target is not None and not wished["metadata"].get("ownerReferences"):
        wished["metadata"]["ownerReferences"] = [owner_reference(target, VIRTUAL_MACHINE)]
    restore = await cluster.update(VM_RESTORE, restore, wished)
    try:
        return await _restore(cluster, restore, target)
    except RestoreError as error:
        await _report(cluster, restore, str(error), failed=False)
        return RETRY_SECONDS


async def _restore(cluster: Cluster, restore: Object, target: Object | None) -> float | None:
    if target is not None and cluster.get(VIRTUAL_MACHINE_INSTANCE, key(target)) is not None:
        return await _wait_for_target(cluster, restore, target)
    snapshot, content = snapshot_of(cluster, restore)
    restored = target is not None and last_restore(restore) == annotations_of(target).get(vm_restore_target.LAST)
    if target is not None and not restored:
        if uid(target) != dig(snapshot, "status", "sourceUID", default=uid(target)):
            raise RestoreError(_OTHER_TARGET)
        target = await _mark(cluster, restore, target)
    wished = copy.deepcopy(restore)
    if await vm_restore_claims.reconcile(cluster, wished, content, target):
        _progress(wished, "True", "Creating new PVCs", "Waiting for new PVCs")
        await cluster.update(VM_RESTORE, restore, wished)
        return POLL_SECONDS
    if not restored:
        await vm_restore_target.apply(cluster, wished, content, target)
        _progress(wished, "True", "Updating target spec", "Waiting for target update")
        await cluster.update(VM_RESTORE, restore, wished)
        return 0.0
    await _complete(cluster, restore, target)
    return None


async def _mark(cluster: Cluster, restore: Object, target: Object) -> Object:
    """Say at the VM that it is being restored; raises RestoreError when another restore is at it."""
    other = dig(target, "status", "restoreInProgress")
    if other and other != name(restore):
        raise RestoreError(f"vm restore {other} in progress")
    wished = copy.deepcopy(target)
    wished.setdefault("status", {})["restoreInProgress"] = name(restore)
    return await cluster.update(VIRTUAL_MACHINE, target, wished)


async def _unmark(cluster: Cluster, restore: Object, target: Object) -> None:
    if dig(target, "status", "restoreInProgress") == name(restore):
        wished = copy.deepcopy(target)
        del wished["status"]["restoreInProgress"]
        await cluster.update(VIRTUAL_MACHINE, target, wished)


async def _complete(cluster: Cluster, restore: Object, target: Object | None) -> None:
    if target is not None:
        await _unmark(cluster, restore, target)
    message = f"Successfully completed VirtualMachineRestore {name(restore)}"
    cluster.event(VM_RESTORE, restore, "Normal", "VirtualMachineRestoreComplete", message, COMPONENT)
    wished = copy.deepcopy(restore)
    wished["status"].update(complete=True, restoreTime=stamp())
    set_condition(wished, "Progressing", "False", "Operation complete")
    set_condition(wished, "Ready", "True", "Operation complete")
    await cluster.update(VM_RESTORE, restore, wished)


async def _wait_for_target(cluster: Cluster, restore: Object, target: Object) -> float | None:
    """The VM still runs: stop it, wait, or fail, as spec.targetReadinessPolicy says."""
    policy = restore["spec"].get("targetReadinessPolicy") or "WaitGracePeriod"
    grace_left = GRACE_SECONDS - age(restore["metadata"].get("creationTimestamp"))
    if policy == "FailImmediate" or (policy == "WaitGracePeriod" and grace_left < 0):
        await _report(cluster, restore, _MUST_BE_OFF if policy == "FailImmediate" else _EXCEEDED, failed=True)
        return None
    text = {"WaitEventually": _PLEASE, "StopTarget": _STOPPING}.get(policy, _GRACE)
    wished = copy.deepcopy(restore)
    _progress(wished, "False", text, text)
    if wished["status"] != restore["status"]:
        event = _STOPPING if policy == "StopTarget" else _STILL_THERE
        cluster.event(VM_RESTORE, restore, "Warning", "RestoreTargetNotReady", event, COMPONENT)
        await cluster.update(VM_RESTORE, restore, wished)
    if policy == "StopTarget":
        await _stop(cluster, target)
    return max(grace_left, 0.1) if policy == "WaitGracePeriod" else RETRY_SECONDS


async def _stop(cluster: Cluster, target: Object) -> None:
    """As `virtctl stop`; a VM that is stopping already needs nothing."""
    try:
        await cluster.client.machine(namespace(target), name(target), "stop")
    except (ConflictError, NotFoundError):
        return
    except ApiError as error:
        raise RestoreError(str(error)) from error


async def _report(cluster: Cluster, restore: Object, message: str, *, failed: bool) -> None:
    """Show an error; one that is final ends the restore."""
    latest = cluster.get(VM_RESTORE, key(restore)) or restore
    wished = copy.deepcopy(latest)
    _progress(wished, "False", message, message)
    if failed:
        set_condition(wished, "Failure", "True", message)
    if wished["status"] == latest["status"]:
        return
    reason = "Operation failed" if failed else "VirtualMachineRestoreError"
    verb = "failed" if failed else "encountered error"
    cluster.event(VM_RESTORE, restore, "Warning", reason, f"VirtualMachineRestore {verb} {message}", COMPONENT)
    await cluster.update(VM_RESTORE, latest, wished)


async def _let_go(cluster: Cluster, restore: Object, target: Object | None) -> float | None:
    if PROTECTION not in finalizers(restore):
        return None
    if target is not None:
        await _unmark(cluster, restore, target)
    wished = copy.deepcopy(restore)
    _progress(wished, "False", "VM restore is deleting", "VM restore is deleting")
    restore = await cluster.update(VM_RESTORE, restore, wished)
    wished = copy.deepcopy(restore)
    drop_finalizer(wished, PROTECTION)
    await cluster.update(VM_RESTORE, restore, wished)
    return None


def _progress(restore: Object, status: str, progressing_text: str, ready_text: str) -> None:
    set_condition(restore, "Progressing", status, progressing_text)
    set_condition(restore, "Ready", "False", ready_text)


def progressing(restore: Object) -> bool:
    """Whether the restore is neither complete nor failed."""
    return not dig(restore, "status", "complete") and condition(restore, "Failure") is None


def _of_target(cluster: Cluster, item: Object) -> Iterable[str]:
    return [
        key(restore) for restore in cluster.list(VM_RESTORE, namespace(item))
        if dig(restore, "spec", "target", "name") == name(item) and progressing(restore)
    ]


def _of_snapshot(cluster: Cluster, snapshot: Object) -> Iterable[str]:
    return [
        key(restore) for restore in cluster.list(VM_RESTORE, namespace(snapshot))
        if dig(restore, "spec", "virtualMachineSnapshotName") == name(snapshot) and progressing(restore)
    ]


def _of_claim(_: Cluster, claim: Object) -> Iterable[str]:
    owner = annotations_of(claim).get(vm_restore_claims.RESTORE_NAME)
    return [f"{namespace(claim)}/{owner}"] if owner else []


CONTROLLER = Controller(
    "vm-restores", reconcile,
    ((VM_RESTORE, itself), (VIRTUAL_MACHINE, _of_target), (VIRTUAL_MACHINE_INSTANCE, _of_target),
     (VM_SNAPSHOT, _of_snapshot), (PERSISTENT_VOLUME_CLAIM, _of_claim)),
)
