"""VolumeSnapshots: bound to a content, which is made for them or was prepared, as the CSI snapshot controller does."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lab.client import ConflictError, Object
from lab.controllers import volume_sources
from lab.controllers.runtime import Controller, itself
from lab.controllers.snapshot_classes import BOUND_CONTENT, SnapshotError, class_for
from lab.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT
from lab.machinery import quantity
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    annotations_of,
    deleting,
    dig,
    drop_finalizer,
    key,
    name,
    namespace,
    phase,
    stamp,
    uid,
)

COMPONENT = "snapshot-controller"
AS_SOURCE = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"
BOUND = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection"
BEING_DELETED = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
RETRY_SECONDS = 2.0


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bind a snapshot to its content and show the content's state; let a deleted one go with, or without, it."""
    snapshot = cluster.get(VOLUME_SNAPSHOT, where)
    if snapshot is None:
        return None
    if deleting(snapshot):
        return await _let_go(cluster, snapshot)
    wished = copy.deepcopy(snapshot)
    add_finalizer(wished, AS_SOURCE)
    add_finalizer(wished, BOUND)
    again: float | None = None
    try:
        content = await _content(cluster, wished)
        _show(cluster, wished, content)
    except SnapshotError as error:
        _failed(cluster, wished, error)
        again = RETRY_SECONDS
    await cluster.update(VOLUME_SNAPSHOT, snapshot, wished)
    return again


async def _content(cluster: Cluster, snapshot: Object) -> Object:
    """The content this snapshot is, or is to be, bound to; raises SnapshotError."""
    bound = dig(snapshot, "status", BOUND_CONTENT)
    prepared = dig(snapshot, "spec", "source", "volumeSnapshotContentName")
    wanted = bound or prepared or f"snapcontent-{uid(snapshot)}"
    content = cluster.get(VOLUME_SNAPSHOT_CONTENT, wanted)
    if content is None and (bound or prepared):
        raise SnapshotError("SnapshotContentMissing", "VolumeSnapshotContent is missing")
    if content is None:
        return await _make_content(cluster, snapshot, wanted)
    reference = dig(content, "spec", "volumeSnapshotRef", default={})
    mine = reference.get("name") == name(snapshot) and reference.get("namespace") == namespace(snapshot)
    if not mine or reference.get("uid") not in (None, "", uid(snapshot)):
        text = f"VolumeSnapshotContent [{wanted}] is bound to a different snapshot"
        raise SnapshotError("SnapshotContentMisbound", text)
    if prepared and not dig(content, "spec", "source", "snapshotHandle"):
        text = "VolumeSnapshotContent is dynamically provisioned while expecting a pre-provisioned one"
        raise SnapshotError("SnapshotContentMismatch", text)
    if not reference.get("uid"):
        fixed = copy.deepcopy(content)
        fixed["spec"]["volumeSnapshotRef"]["uid"] = uid(snapshot)
        content = await cluster.update(VOLUME_SNAPSHOT_CONTENT, content, fixed)
    return content


async def _make_content(cluster: Cluster, snapshot: Object, content_name: str) -> Object:
    volume = _source(cluster, snapshot)
    chosen = class_for(cluster, volume, dig(snapshot, "spec", "volumeSnapshotClassName", default=""))
    snapshot["spec"]["volumeSnapshotClassName"] = name(chosen)
    reference = {
        "apiVersion": VOLUME_SNAPSHOT.api_version, "kind": VOLUME_SNAPSHOT.name, "name": name(snapshot),
        "namespace": namespace(snapshot), "uid": uid(snapshot),
        "resourceVersion": str(snapshot["metadata"].get("resourceVersion", "")),
    }
    body = {
        "metadata": {"name": content_name},
        "spec": {
            "deletionPolicy": chosen.get("deletionPolicy", "Delete"), "driver": chosen["driver"],
            "source": {"volumeHandle": volume_sources.handle_of(cluster, volume)},
            "sourceVolumeMode": dig(volume, "spec", "volumeMode", default="Filesystem"),
            "volumeSnapshotClassName": name(chosen), "volumeSnapshotRef": reference,
        },
    }
    try:
        made = await cluster.create(VOLUME_SNAPSHOT_CONTENT, body)
    except ConflictError:
        made = await cluster.client.get(VOLUME_SNAPSHOT_CONTENT, content_name)
    message = f"Waiting for a snapshot {key(snapshot)} to be created by the CSI driver."
    cluster.event(VOLUME_SNAPSHOT, snapshot, "Normal", "CreatingSnapshot", message, COMPONENT)
    return made


def _source(cluster: Cluster, snapshot: Object) -> Object:
    """The volume to copy; raises SnapshotError."""
    wanted = dig(snapshot, "spec", "source", "persistentVolumeClaimName", default="")
    failed = "Failed to create snapshot content with error "
    claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(snapshot)}/{wanted}")
    if claim is None:
        text = f"snapshot controller failed to update {name(snapshot)} on API server: cannot get claim from snapshot"
        raise SnapshotError("SnapshotContentCreationFailed", failed + text)
    volume = cluster.get(PERSISTENT_VOLUME, dig(claim, "spec", "volumeName", default=""))
    if phase(claim) != "Bound" or volume is None:
        text = f"{failed}the PVC {wanted} is not yet bound to a PV, will not attempt to take a snapshot"
        raise SnapshotError("SnapshotContentCreationFailed", text)
    return volume


def _show(cluster: Cluster, snapshot: Object, content: Object) -> None:
    """Copy the content's state to the snapshot."""
    status = snapshot.setdefault("status", {})
    before = dict(status)
    seen = content.get("status") or {}
    status[BOUND_CONTENT] = name(content)
    status["readyToUse"] = bool(seen.get("readyToUse"))
    for field in ("creationTime", "error"):
        if seen.get(field):
            status[field] = seen[field]
        else:
            status.pop(field, None)
    if seen.get("restoreSize"):
        status["restoreSize"] = quantity.binary(int(seen["restoreSize"]))
    if status.get("creationTime") and not before.get("creationTime"):
        message = f"Snapshot {key(snapshot)} was successfully created by the CSI driver."
        cluster.event(VOLUME_SNAPSHOT, snapshot, "Normal", "SnapshotCreated", message, COMPONENT)
    if status["readyToUse"] and not before.get("readyToUse"):
        message = f"Snapshot {key(snapshot)} is ready to use."
        cluster.event(VOLUME_SNAPSHOT, snapshot, "Normal", "SnapshotReady", message, COMPONENT)


def _failed(cluster: Cluster, snapshot: Object, error: SnapshotError) -> None:
    status = snapshot.setdefault("status", {})
    status["readyToUse"] = False
    if dig(status, "error", "message") != str(error):
        status["error"] = {"message": str(error), "time": stamp()}
        cluster.event(VOLUME_SNAPSHOT, snapshot, "Warning", error.reason, str(error), COMPONENT)


async def _let_go(cluster: Cluster, snapshot: Object) -> float | None:
    """Remove the content of a deleted snapshot unless its policy keeps it, then the snapshot's finalizers."""
    if volume_sources.restoring(cluster, snapshot):
        message = "Snapshot is being used to restore a PVC"
        cluster.event(VOLUME_SNAPSHOT, snapshot, "Warning", "SnapshotDeletePending", message, COMPONENT)
        return RETRY_SECONDS
    bound = dig(snapshot, "status", BOUND_CONTENT) or f"snapcontent-{uid(snapshot)}"
    content = cluster.get(VOLUME_SNAPSHOT_CONTENT, bound)
    if content is not None and dig(content, "spec", "volumeSnapshotRef", "uid") == uid(snapshot):
        if BEING_DELETED not in annotations_of(content):
            fixed = copy.deepcopy(content)
            fixed["metadata"]["annotations"] = {**annotations_of(content), BEING_DELETED: "yes"}
            content = await cluster.update(VOLUME_SNAPSHOT_CONTENT, content, fixed)
        if dig(content, "spec", "deletionPolicy") == "Delete":
            if not deleting(content):
                await cluster.delete(VOLUME_SNAPSHOT_CONTENT, content)
            return RETRY_SECONDS
    wished = copy.deepcopy(snapshot)
    drop_finalizer(wished, AS_SOURCE)
    drop_finalizer(wished, BOUND)
    await cluster.update(VOLUME_SNAPSHOT, snapshot, wished)
    return None


def _of_content(_: Cluster, content: Object) -> Iterable[str]:
    reference = dig(content, "spec", "volumeSnapshotRef", default={})
    return [f"{reference['namespace']}/{reference['name']}"] if reference.get("name") else []


def _of_claim(cluster: Cluster, claim: Object) -> Iterable[str]:
    return [
        key(snapshot) for snapshot in cluster.list(VOLUME_SNAPSHOT, namespace(claim))
        if dig(snapshot, "spec", "source", "persistentVolumeClaimName") == name(claim)
    ]


CONTROLLER = Controller(
    "volume-snapshots", reconcile,
    ((VOLUME_SNAPSHOT, itself), (VOLUME_SNAPSHOT_CONTENT, _of_content), (PERSISTENT_VOLUME_CLAIM, _of_claim)),
)
