"""VirtualMachineSnapshotContents: the guest frozen, a VolumeSnapshot per volume, and the guest thawed.

The guest is thawed as soon as every volume's copy has its moment (creationTime), long before the copies are ready. It
is thawed as well when one of them cannot be had: all are then removed, and the guest is frozen anew a little later, so
that what KubeVirt calls quiesced is, in every volume.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import aiohttp

from lab.client import ApiError, ConflictError, Object
from lab.controllers import snapshot_classes, vm_snapshot, vm_snapshot_source
from lab.controllers.runtime import Controller, itself
from lab.controllers.vm_snapshot_source import FreezeError
from lab.kinds import VM_SNAPSHOT, VM_SNAPSHOT_CONTENT, VOLUME_SNAPSHOT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import age, deleting, dig, drop_finalizer, name, namespace, owner_reference, stamp

COMPONENT = "snapshot-controller"
RETRY_SECONDS = 5.0
UNDO_SECONDS = 0.5
SOURCE_NAME = "snapshot.kubevirt.io/source-vm-name"
SOURCE_NAMESPACE = "snapshot.kubevirt.io/source-vm-namespace"


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Make the volume snapshots of one content, and show how they stand."""
    content = cluster.get(VM_SNAPSHOT_CONTENT, where)
    if content is None:
        return None
    owner = dig(content, "spec", "virtualMachineSnapshotName", default="")
    snapshot = cluster.get(VM_SNAPSHOT, f"{namespace(content)}/{owner}")
    if snapshot is None or vm_snapshot.terminating(snapshot):
        content = await _release(cluster, content, snapshot)
        if snapshot is not None and vm_snapshot.content_goes(snapshot, content):
            return None
    if deleting(content):
        return None
    if _undoing(cluster, content):
        return UNDO_SECONDS
    if (rest := _rest_seconds(cluster, content)) > 0:
        return rest
    wished = copy.deepcopy(content)
    status = wished.setdefault("status", {})
    try:
        missing = await _make(cluster, content, snapshot)
        again = await _show(cluster, wished, snapshot, missing)
    except FreezeError as error:
        status.update(readyToUse=False, error={"message": str(error), "time": stamp()})
        again = RETRY_SECONDS
    await cluster.update(VM_SNAPSHOT_CONTENT, content, wished)
    return again


async def _release(cluster: Cluster, content: Object, snapshot: Object | None) -> Object:
    """Thaw the guest, best-effort, and let the content go."""
    if snapshot is not None:
        try:
            await _thaw(cluster, snapshot)
        except (ApiError, aiohttp.ClientError, OSError) as error:
            message = f"Failed to unfreeze source: {error}"
            cluster.event(VM_SNAPSHOT_CONTENT, content, "Warning", "UnfreezeFailed", message, COMPONENT)
    wished = copy.deepcopy(content)
    drop_finalizer(wished, vm_snapshot.CONTENT_PROTECTION)
    return await cluster.update(VM_SNAPSHOT_CONTENT, content, wished)


async def _thaw(cluster: Cluster, snapshot: Object) -> None:
    source = vm_snapshot_source.find(cluster, snapshot)
    if source is not None:
        await vm_snapshot_source.thaw(cluster, source)


async def _make(cluster: Cluster, content: Object, snapshot: Object | None) -> list[str]:
    """Create the volume snapshots that are not there yet; the names of those that are gone for good."""
    absent = [backup for backup in _backups(content) if _found(cluster, content, backup) is None]
    if not absent:
        return []
    if dig(content, "status", "creationTime") or snapshot is None or deleting(snapshot):
        for backup in absent:
            message = f"VolumeSnapshot {backup['volumeSnapshotName']} no longer exists"
            cluster.event(VM_SNAPSHOT_CONTENT, content, "Warning", "VolumeSnapshotMissing", message, COMPONENT)
        return [backup["volumeSnapshotName"] for backup in absent]
    source = vm_snapshot_source.find(cluster, snapshot)
    if source is None:
        raise FreezeError("unable to get snapshot source")
    await vm_snapshot_source.freeze(cluster, source)
    for backup in absent:
        await _create(cluster, content, backup)
    return []


async def _create(cluster: Cluster, content: Object, backup: Object) -> None:
    claim = backup["persistentVolumeClaim"]
    machine = content["spec"]["source"]["virtualMachine"]["metadata"]
    chosen = snapshot_classes.name_for_storage_class(cluster, dig(claim, "spec", "storageClassName", default=""))
    body = {
        "metadata": {
            "name": backup["volumeSnapshotName"], "namespace": namespace(content),
            "labels": {SOURCE_NAME: machine["name"], SOURCE_NAMESPACE: machine["namespace"]},
            "ownerReferences": [owner_reference(content, VM_SNAPSHOT_CONTENT)],
        },
        "spec": {
            "source": {"persistentVolumeClaimName": claim["metadata"]["name"]}, "volumeSnapshotClassName": chosen,
        },
    }
    try:
        await cluster.create(VOLUME_SNAPSHOT, body)
    except ConflictError:
        return
    message = f"Successfully created VolumeSnapshot {backup['volumeSnapshotName']}"
    cluster.event(VM_SNAPSHOT_CONTENT, content, "Normal", "SuccessfulVolumeSnapshotCreate", message, COMPONENT)


async def _show(cluster: Cluster, content: Object, snapshot: Object | None, missing: list[str]) -> float | None:
    """Derive the content's status; thaw the guest when every copy has its moment, or one cannot be had."""
    status = content["status"]
    found = [item for backup in _backups(content) if (item := _found(cluster, content, backup)) is not None]
    entries = [_entry(item) for item in found]
    created = not missing and all(entry.get("creationTime") for entry in entries)
    ready = not missing and all(entry.get("readyToUse") for entry in entries)
    problem = f"VolumeSnapshots ({','.join(missing)}) missing" if missing else _problem(entries)
    if problem and not created and not status.get("creationTime") and snapshot is not None:
        await _undo(cluster, found, snapshot)
        status.update(readyToUse=False, error={"message": problem, "time": stamp()})
        return RETRY_SECONDS
    if created and not status.get("creationTime"):
        if snapshot is not None:
            await _thaw(cluster, snapshot)
        status["creationTime"] = stamp()
    if problem and not ready:
        if dig(status, "error", "message") != problem:
            status["error"] = {"message": problem, "time": stamp()}
    else:
        status.pop("error", None)
    status["readyToUse"] = ready
    status["volumeSnapshotStatus"] = entries
    return None


def _undoing(cluster: Cluster, content: Object) -> bool:
    """Whether volume snapshots of an attempt that failed are still there: no new one may stand beside them."""
    if dig(content, "status", "creationTime"):
        return False
    found = (_found(cluster, content, backup) for backup in _backups(content))
    return any(item is not None and deleting(item) for item in found)


def _rest_seconds(cluster: Cluster, content: Object) -> float:
    """How long the guest is left alone after an attempt that failed, before it is frozen anew."""
    absent = any(_found(cluster, content, backup) is None for backup in _backups(content))
    if not absent or dig(content, "status", "creationTime"):
        return 0.0
    return RETRY_SECONDS - age(dig(content, "status", "error", "time"))


async def _undo(cluster: Cluster, found: list[Object], snapshot: Object) -> None:
    """Thaw the guest and remove what was made of this attempt."""
    await _thaw(cluster, snapshot)
    for item in found:
        if not deleting(item):
            await cluster.delete(VOLUME_SNAPSHOT, item)


def _backups(content: Object) -> list[Object]:
    return [backup for backup in content["spec"].get("volumeBackups") or [] if backup.get("volumeSnapshotName")]


def _found(cluster: Cluster, content: Object, backup: Object) -> Object | None:
    return cluster.get(VOLUME_SNAPSHOT, f"{namespace(content)}/{backup['volumeSnapshotName']}")


def _entry(item: Object) -> Object:
    entry = {"volumeSnapshotName": name(item)}
    for field in ("creationTime", "error", "readyToUse"):
        value = dig(item, "status", field)
        if value is not None:
            entry[field] = value
    return entry


def _problem(entries: list[Object]) -> str:
    for entry in entries:
        if message := dig(entry, "error", "message"):
            return f"VolumeSnapshot {entry['volumeSnapshotName']} error: {message}"
    return ""


def _of_snapshot(_: Cluster, snapshot: Object) -> Iterable[str]:
    return [f"{namespace(snapshot)}/{vm_snapshot.content_name(snapshot)}"]


def _of_volume_snapshot(_: Cluster, snapshot: Object) -> Iterable[str]:
    references = snapshot["metadata"].get("ownerReferences") or []
    return [
        f"{namespace(snapshot)}/{entry['name']}" for entry in references if entry["kind"] == VM_SNAPSHOT_CONTENT.name
    ]


CONTROLLER = Controller(
    "vm-snapshot-contents", reconcile,
    ((VM_SNAPSHOT_CONTENT, itself), (VM_SNAPSHOT, _of_snapshot), (VOLUME_SNAPSHOT, _of_volume_snapshot)),
)
