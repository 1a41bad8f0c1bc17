"""VirtualMachineSnapshots: the VM locked, its content made, the outcome shown, and the VM let go of again."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lab.chaos import durations
from lab.client import ConflictError, Object
from lab.controllers import snapshot_classes, vm_snapshot_source
from lab.controllers.runtime import Controller, itself
from lab.controllers.vm_snapshot_source import DEFAULT_DEADLINE, SnapshotSource
from lab.kinds import (
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_INSTANCE,
    VM_SNAPSHOT,
    VM_SNAPSHOT_CONTENT,
)
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    age,
    deleting,
    dig,
    drop_finalizer,
    finalizers,
    key,
    name,
    namespace,
    phase,
    set_condition,
    uid,
)

COMPONENT = "snapshot-controller"
PROTECTION = "snapshot.kubevirt.io/vmsnapshot-protection"
CONTENT_PROTECTION = "snapshot.kubevirt.io/vmsnapshotcontent-protection"
DEADLINE_EXCEEDED = "snapshot deadline exceeded"
LOCK_RETRY_SECONDS = 5.0
INDICATIONS = {
    "Online": "Snapshot taken while the VM was running. Consistency depends on guest-agent quiescing.",
    "GuestAgent": "Guest agent was active and attempted to quiesce the filesystem for application consistency.",
    "NoGuestAgent":
        "Guest agent was not available. Snapshot is crash-consistent and may not be application-consistent.",
    "Paused":
        "Snapshot taken while the VM was paused. Snapshot is crash-consistent and may not be application-consistent.",
    "PartialSnapshot":
        "Not all snapshotable volumes were included in the snapshot. Check status.snapshotVolumes for excluded volumes "
        "and VM VolumeSnapshotStatus for details.",
}
"""KubeVirt's messages of the indications (v1.9, pkg/storage/snapshot)."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bring one snapshot a step further; returns the seconds until its deadline, or until the lock is tried again."""
    snapshot = cluster.get(VM_SNAPSHOT, where)
    if snapshot is None:
        return None
    source = vm_snapshot_source.find(cluster, snapshot)
    content = cluster.get(VM_SNAPSHOT_CONTENT, f"{namespace(snapshot)}/{content_name(snapshot)}")
    wished = copy.deepcopy(snapshot)
    leaving = terminating(snapshot)
    if not leaving:
        add_finalizer(wished, PROTECTION)
    lock_message, again = "", None
    if snapshot.get("status") and source is not None:
        if progressing(snapshot) and not leaving:
            lock_message, again = await _take(cluster, snapshot, source, content)
        elif not progressing(snapshot) or content is None or not content_goes(snapshot, content):
            await vm_snapshot_source.unlock(cluster, source)
            source = vm_snapshot_source.find(cluster, snapshot)
    if leaving and content is not None and content_goes(snapshot, content) and not deleting(content):
        await cluster.delete(VM_SNAPSHOT_CONTENT, content)
    _show(wished, source, content, lock_message)
    if deleting(snapshot) and (source is None or not source.locked):
        drop_finalizer(wished, PROTECTION)
    await cluster.update(VM_SNAPSHOT, snapshot, wished)
    if again is None and progressing(wished) and seconds_left(wished) < float("inf"):
        return max(seconds_left(wished), 0.1)
    return again


async def _take(
    cluster: Cluster, snapshot: Object, source: SnapshotSource, content: Object | None
) -> tuple[str, float | None]:
    """Lock the VM, then make the content; (why it is not locked, seconds until the next attempt)."""
    if not source.locked:
        return await vm_snapshot_source.lock(cluster, source), LOCK_RETRY_SECONDS
    if content is None:
        await _make_content(cluster, snapshot, source)
    return "", None


async def _make_content(cluster: Cluster, snapshot: Object, source: SnapshotSource) -> None:
    where = namespace(snapshot)
    backups = []
    for volume, claim_name in source.claims().items():
        claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{where}/{claim_name}")
        if claim is None or phase(claim) != "Bound":
            continue
        if not snapshot_classes.name_for_storage_class(cluster, dig(claim, "spec", "storageClassName", default="")):
            continue
        backups.append({
            "persistentVolumeClaim": {"metadata": claim["metadata"], "spec": claim["spec"]}, "volumeName": volume,
            "volumeSnapshotName": f"vmsnapshot-{uid(snapshot)}-volume-{volume}",
        })
    body = {
        "metadata": {"name": content_name(snapshot), "namespace": where, "finalizers": [CONTENT_PROTECTION]},
        "spec": {
            "source": source.kept(), "virtualMachineSnapshotName": name(snapshot), "volumeBackups": backups,
        },
    }
    try:
        await cluster.create(VM_SNAPSHOT_CONTENT, copy.deepcopy(body))
    except ConflictError:
        return
    message = f"Successfully created VirtualMachineSnapshotContent {content_name(snapshot)}"
    reason = "SuccessfulVirtualMachineSnapshotContentCreate"
    cluster.event(VM_SNAPSHOT, snapshot, "Normal", reason, message, COMPONENT)


def _show(snapshot: Object, source: SnapshotSource | None, content: Object | None, lock_message: str) -> None:
    """Derive the snapshot's status."""
    status = snapshot.setdefault("status", {"readyToUse": False})
    if source is not None:
        status["sourceUID"] = uid(source.machine)
    if content is not None and content.get("status"):
        status["virtualMachineSnapshotContentName"] = name(content)
        for field in ("creationTime", "readyToUse", "error"):
            if content["status"].get(field) is not None:
                status[field] = content["status"][field]
            elif field in status:
                del status[field]
    if expired(snapshot):
        status["phase"] = "Failed"
        set_condition(snapshot, "Failure", "True", DEADLINE_EXCEEDED)
        set_condition(snapshot, "Progressing", "False", "Operation failed")
    elif status.get("phase") == "Succeeded" or status.get("creationTime"):
        status["phase"] = "Succeeded"
        set_condition(snapshot, "Progressing", "False", "Operation complete")
        if content is not None:
            _volumes(snapshot, content)
    else:
        _show_progress(snapshot, source, lock_message)
    ready = bool(status.get("readyToUse"))
    set_condition(snapshot, "Ready", "True" if ready else "False", "Ready" if ready else "Not ready")
    if status.get("error"):
        set_condition(snapshot, "Progressing", "False", "In error state")


def _show_progress(snapshot: Object, source: SnapshotSource | None, lock_message: str) -> None:
    status = snapshot["status"]
    status["phase"] = "InProgress"
    if source is None:
        set_condition(snapshot, "Progressing", "False", "Source does not exist")
    else:
        locked = source.locked
        text = "Source locked and operation in progress" if locked else f"Source not locked{lock_message}"
        set_condition(snapshot, "Progressing", "True" if locked else "False", text)
        _indicate(status, source.indications())
    if deleting(snapshot):
        status["phase"] = "Deleting"
        set_condition(snapshot, "Progressing", "False", "VM snapshot is deleting")


def _indicate(status: Object, indications: list[str]) -> None:
    if not indications:
        status.pop("indications", None)
        status.pop("sourceIndications", None)
        return
    every = sorted({*status.get("indications", []), *indications})
    status["indications"] = every
    status["sourceIndications"] = [{"indication": entry, "message": INDICATIONS[entry]} for entry in every]


def _volumes(snapshot: Object, content: Object) -> None:
    """Which of the VM's volumes the snapshot has, and which it has not."""
    volumes = dig(content, "spec", "source", "virtualMachine", "spec", "template", "spec", "volumes", default=[])
    kept = {backup["volumeName"] for backup in content["spec"].get("volumeBackups") or []}
    lists = {
        "includedVolumes": [volume["name"] for volume in volumes if volume["name"] in kept],
        "excludedVolumes": [volume["name"] for volume in volumes if volume["name"] not in kept],
    }
    status = snapshot["status"]
    status["snapshotVolumes"] = {field: names for field, names in lists.items() if names}
    partial = any(
        volume["name"] not in kept and ("persistentVolumeClaim" in volume or "dataVolume" in volume)
        for volume in volumes
    )
    if partial and "PartialSnapshot" not in status.get("indications", []):
        status["indications"] = [*status.get("indications", []), "PartialSnapshot"]
        status["sourceIndications"] = [
            *status.get("sourceIndications", []),
            {"indication": "PartialSnapshot", "message": INDICATIONS["PartialSnapshot"]},
        ]


def content_name(snapshot: Object) -> str:
    own: str = dig(snapshot, "status", "virtualMachineSnapshotContentName", default="")
    return own or f"vmsnapshot-content-{uid(snapshot)}"


def ready(snapshot: Object) -> bool:
    return bool(dig(snapshot, "status", "readyToUse"))


def progressing(snapshot: Object) -> bool:
    return phase(snapshot) not in ("Failed", "Succeeded")


def seconds_left(snapshot: Object) -> float:
    """Until the snapshot's deadline; infinite without one (failureDeadline 0)."""
    seconds = durations.seconds(str(snapshot["spec"].get("failureDeadline") or DEFAULT_DEADLINE))
    return seconds - age(snapshot["metadata"].get("creationTimestamp")) if seconds else float("inf")


def expired(snapshot: Object) -> bool:
    """Whether the snapshot has failed, or has to."""
    return phase(snapshot) == "Failed" or (progressing(snapshot) and seconds_left(snapshot) < 0)


def terminating(snapshot: Object) -> bool:
    return deleting(snapshot) or expired(snapshot)


def content_goes(snapshot: Object, content: Object) -> bool:
    """Whether the content is deleted with its snapshot; one that is not ready always is."""
    policy = snapshot["spec"].get("deletionPolicy") or "Delete"
    return policy == "Delete" or not dig(content, "status", "readyToUse")


def _of_content(_: Cluster, content: Object) -> Iterable[str]:
    return [f"{namespace(content)}/{dig(content, 'spec', 'virtualMachineSnapshotName', default='')}"]


def _of_machine(cluster: Cluster, machine: Object) -> Iterable[str]:
    return [
        key(snapshot) for snapshot in cluster.list(VM_SNAPSHOT, namespace(machine))
        if dig(snapshot, "spec", "source", "name") == name(machine)
        and (progressing(snapshot) or (deleting(snapshot) and PROTECTION in finalizers(snapshot)))
    ]


CONTROLLER = Controller(
    "vm-snapshots", reconcile,
    ((VM_SNAPSHOT, itself), (VM_SNAPSHOT_CONTENT, _of_content), (VIRTUAL_MACHINE, _of_machine),
     (VIRTUAL_MACHINE_INSTANCE, _of_machine)),
)
