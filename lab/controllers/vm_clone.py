"""VirtualMachineClones: a temporary snapshot of the source, a restore of it to a new VM, and both removed again."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lab.client import Object
from lab.controllers import vm_clone_steps as steps
from lab.controllers import vm_restore
from lab.controllers.runtime import Controller, itself
from lab.controllers.vm_clone_steps import COMPONENT, CloneError, PendingError
from lab.kinds import PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE, VM_CLONE, VM_RESTORE, VM_SNAPSHOT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    condition,
    deleting,
    dig,
    key,
    name,
    namespace,
    phase,
    set_condition,
)

RETRY_SECONDS = 2.0
SNAPSHOT = "SnapshotInProgress"
RESTORE = "RestoreInProgress"
CREATING = "CreatingTargetVM"
SUCCEEDED = "Succeeded"
FAILED = "Failed"


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bring one clone as many steps further as it can go now."""
    clone = cluster.get(VM_CLONE, where)
    if clone is None or deleting(clone) or phase(clone) == FAILED:
        return None
    if phase(clone) == SUCCEEDED and _target(cluster, clone) is None:
        await cluster.delete(VM_CLONE, clone)
        return None
    wished = copy.deepcopy(clone)
    wished.setdefault("status", {})
    again: float | None = None
    try:
        await _advance(cluster, wished)
        _show_progress(wished)
    except PendingError as error:
        _report(cluster, wished, "Pending", error.reason, str(error))
        again = RETRY_SECONDS
    except CloneError as error:
        _report(cluster, wished, "Failed", error.reason, str(error))
        wished["status"]["phase"] = FAILED
    await cluster.update(VM_CLONE, clone, wished)
    return again


def _show_progress(clone: Object) -> None:
    over = phase(clone) == SUCCEEDED
    set_condition(clone, "Progressing", "False" if over else "True", "Ready" if over else "Still processing")
    set_condition(clone, "Ready", "True" if over else "False", "Ready" if over else "Still processing")


def _report(cluster: Cluster, clone: Object, state: str, reason: str, message: str) -> None:
    """Show why the clone waits, or has failed; said in an event once."""
    known = condition(clone, "Ready")
    set_condition(clone, "Progressing", "False", state)
    set_condition(clone, "Ready", "False", message)
    if known is None or known.get("reason") != message:
        cluster.event(VM_CLONE, clone, "Normal", reason, message, COMPONENT)


async def _advance(cluster: Cluster, clone: Object) -> None:
    """Take the steps of the clone's phase, and of those that follow; changes the status in place."""
    status = clone["status"]
    if phase(clone) in ("", SNAPSHOT):
        snapshot = await steps.snapshot_of(cluster, clone)
        status["phase"] = SNAPSHOT
        if snapshot is None or not steps.check_ready(cluster, clone, snapshot):
            return
        status["phase"] = RESTORE
    if phase(clone) == RESTORE:
        restore = await steps.restore_of(cluster, clone)
        if restore is None or vm_restore.progressing(restore):
            return
        if not dig(restore, "status", "complete"):
            failure = condition(restore, "Failure") or {}
            raise CloneError("RestoreCreationFailed", f"restore {name(restore)} failed: {failure.get('reason', '')}")
        steps.event(cluster, clone, "RestoreReady", f"restore {name(restore)} for clone {name(clone)} is ready to use")
        status["targetName"] = restore["spec"]["target"]["name"]
        status["phase"] = CREATING
    if phase(clone) == CREATING:
        if _target(cluster, clone) is None:
            return
        message = f"created target VM {status['targetName']} for clone {name(clone)}"
        steps.event(cluster, clone, "TargetVMCreated", message)
        status["phase"] = SUCCEEDED
    if phase(clone) == SUCCEEDED:
        await steps.clean_up(cluster, clone)


def _target(cluster: Cluster, clone: Object) -> Object | None:
    return cluster.get(VIRTUAL_MACHINE, f"{namespace(clone)}/{dig(clone, 'status', 'targetName', default='')}")


def _of_owned(_: Cluster, item: Object) -> Iterable[str]:
    references = item["metadata"].get("ownerReferences") or []
    return [f"{namespace(item)}/{entry['name']}" for entry in references if entry["kind"] == VM_CLONE.name]


def _of_machine_or_snapshot(cluster: Cluster, item: Object) -> Iterable[str]:
    """Clones whose source, or whose new VM, this is."""
    named = name(item)
    return [
        key(clone) for clone in cluster.list(VM_CLONE, namespace(item))
        if named in (dig(clone, "spec", "source", "name"), dig(clone, "status", "targetName"))
    ]


def _unfinished(cluster: Cluster, claim: Object) -> Iterable[str]:
    return [
        key(clone) for clone in cluster.list(VM_CLONE, namespace(claim)) if dig(clone, "status", "restoreName")
    ]


def _of_snapshot(cluster: Cluster, snapshot: Object) -> Iterable[str]:
    return [*_of_owned(cluster, snapshot), *_of_machine_or_snapshot(cluster, snapshot)]


CONTROLLER = Controller(
    "vm-clones", reconcile,
    ((VM_CLONE, itself), (VM_SNAPSHOT, _of_snapshot), (VM_RESTORE, _of_owned),
     (VIRTUAL_MACHINE, _of_machine_or_snapshot), (PERSISTENT_VOLUME_CLAIM, _unfinished)),
)
