"""The data behind a VolumeSnapshotContent, and its status."""

from __future__ import annotations

import copy

from lab import storage
from lab.client import ConflictError, Object
from lab.kinds import VOLUME_SNAPSHOT_CONTENT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import dig, name, stamp, uid
from lab.storage import Backend, LiveCopy, StorageError

COMPONENT = "csi-snapshotter"
ATTEMPTS = 5


def snapshot_id(content: Object) -> str:
    """What names the copy in the storage and in QEMU."""
    return uid(content)


def backend_of(cluster: Cluster, content: Object) -> Backend:
    """The back end of the content's driver; raises StorageError for a driver that the lab does not have."""
    found = storage.by_provisioner(cluster.config, content["spec"]["driver"])
    if found is None:
        raise StorageError(f"this lab has no driver {content['spec']['driver']}")
    return found


async def delete(cluster: Cluster, content: Object) -> None:
    """Remove what there is of the copy, whole or not; raises StorageError."""
    backend = backend_of(cluster, content)
    snapshot = dig(content, "status", "snapshotHandle") or dig(content, "spec", "source", "snapshotHandle")
    if not snapshot and backend.traits.live_copy is LiveCopy.BACKUP:
        # Begun, but not written down: made by prepare_snapshot, which says where it is, or makes what is removed next.
        snapshot = await backend.prepare_snapshot(content["spec"]["source"]["volumeHandle"], snapshot_id(content), 1)
    if snapshot:
        await backend.delete_snapshot(snapshot)


async def write(cluster: Cluster, content: Object, fields: Object) -> None:
    """Put fields into the status, and take an error out of it.

    Whoever changed the content meanwhile: what has been done to the copy cannot be done again, so it is told.
    """
    latest = cluster.get(VOLUME_SNAPSHOT_CONTENT, name(content)) or content
    for attempt in range(ATTEMPTS):
        wished = copy.deepcopy(latest)
        status = wished.setdefault("status", {})
        status.update(fields)
        status.pop("error", None)
        try:
            await cluster.update(VOLUME_SNAPSHOT_CONTENT, latest, wished)
            return
        except ConflictError:
            if attempt == ATTEMPTS - 1:
                raise
            latest = await cluster.client.get(VOLUME_SNAPSHOT_CONTENT, name(content))


async def failed(cluster: Cluster, content: Object, message: str) -> None:
    """Show an error, with an event when it is a new one."""
    latest = cluster.get(VOLUME_SNAPSHOT_CONTENT, name(content)) or content
    if dig(latest, "status", "error", "message") == message:
        return
    wished = copy.deepcopy(latest)
    wished.setdefault("status", {}).update(readyToUse=False, error={"message": message, "time": stamp()})
    await cluster.update(VOLUME_SNAPSHOT_CONTENT, latest, wished)
    cluster.event(VOLUME_SNAPSHOT_CONTENT, latest, "Warning", "SnapshotCreationFailed", message, COMPONENT)
