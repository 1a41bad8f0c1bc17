"""VolumeSnapshotContents: the copies behind VolumeSnapshots, made and removed as a CSI driver and its sidecar do.

A volume at rest, or of a class with snapshots of its own, is copied by the storage. One that a guest uses is copied by
the guest's QEMU: `creationTime` is then the moment of its content, and `readyToUse` follows when the copy is whole. A
copy that came to nothing is removed, and its content never becomes ready: its moment has passed.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable

from lab import storage
from lab.client import Object
from lab.controllers import volume_snapshot_data as data
from lab.controllers import volume_snapshot_live as live
from lab.controllers import volume_sources, volume_users
from lab.controllers.live_copies import LiveCopyError
from lab.controllers.runtime import Controller, itself
from lab.controllers.volume_snapshot_data import COMPONENT
from lab.controllers.volume_snapshot_live import GUEST
from lab.controllers.volume_users import Use
from lab.kinds import (
    MIGRATION,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE_INSTANCE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
)
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    annotations_of,
    deleting,
    dig,
    drop_finalizer,
    finalizers,
    name,
    namespace,
    stamp,
    uid,
)
from lab.storage import Backend, LiveCopy, StorageError

PROTECTION = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"
RETRY_SECONDS = 2.0
START_SECONDS = 0.05
"""A storage whose copies take no longer than that is not asked twice."""
COPY_POLL_SECONDS = 0.1
"""A guest may be frozen until the storage has its snapshot."""


class Copies:
    """The copies that the storage makes; each has a task, so that a long one holds up no other snapshot."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[str]] = {}

    async def reconcile(self, cluster: Cluster, where: str) -> float | None:
        """Make the copy of a content, follow it, and remove it with the content."""
        content = cluster.get(VOLUME_SNAPSHOT_CONTENT, where)
        if content is None:
            return None
        if deleting(content):
            return await self._remove(cluster, content)
        if PROTECTION not in finalizers(content):
            wished = copy.deepcopy(content)
            add_finalizer(wished, PROTECTION)
            content = await cluster.update(VOLUME_SNAPSHOT_CONTENT, content, wished)
        status = content.get("status") or {}
        if status.get("readyToUse"):
            return None
        if prepared := dig(content, "spec", "source", "snapshotHandle"):
            return await _take_over(cluster, content, prepared)
        if GUEST in annotations_of(content):
            return await live.follow(cluster, content)
        if status.get("creationTime"):
            return None
        return await self._begin(cluster, content)

    async def _begin(self, cluster: Cluster, content: Object) -> float | None:
        try:
            backend, volume, claim = _source(cluster, content)
            native = backend.traits.live_copy is LiveCopy.NATIVE
            use = Use() if native or claim is None else volume_users.of_claim(cluster, claim)
            if not use.at_rest:
                await self._drop(content, backend)
            if use.problem:
                raise StorageError(f"{use.problem}; its snapshot waits for that to end")
            if use.instance is not None:
                return await live.begin(cluster, content, backend, volume, use)
            return await self._by_storage(cluster, content, backend, volume, None if native else claim)
        except (StorageError, LiveCopyError) as error:
            handle = dig(content, "spec", "source", "volumeHandle")
            await data.failed(cluster, content, f'failed to take snapshot of the volume {handle}: "{error}"')
            return RETRY_SECONDS

    async def _by_storage(
        self, cluster: Cluster, content: Object, backend: Backend, volume: Object, claim: Object | None
    ) -> float | None:
        """Let the storage copy the volume; `claim` must be at rest all the while."""
        identity = uid(content)
        handle = volume_sources.handle_of(cluster, volume)
        task = self._tasks.get(identity)
        if task is None:
            if claim is not None:
                await data.delete(cluster, content)  # what an earlier controller left was never checked
            task = self._tasks[identity] = asyncio.create_task(_copy(backend, handle, data.snapshot_id(content)))
        await asyncio.wait((task,), timeout=START_SECONDS)
        if not task.done():
            return COPY_POLL_SECONDS
        del self._tasks[identity]
        snapshot = task.result()
        use = volume_users.of_claim(cluster, claim) if claim is not None else Use()
        if not use.at_rest:
            await backend.delete_snapshot(snapshot)
            raise StorageError("a guest began to use the volume while it was copied; it is copied again")
        size = volume_sources.size(dig(volume, "spec", "capacity", "storage", default="0"))
        fields = {"snapshotHandle": snapshot, "creationTime": stamp(), "restoreSize": size, "readyToUse": True}
        await data.write(cluster, content, fields)
        return None

    async def _drop(self, content: Object, backend: Backend) -> None:
        """Remove a copy that the storage makes, or has made, and that is in no status yet. Raises StorageError."""
        if task := self._tasks.pop(uid(content), None):
            await backend.delete_snapshot(await task)

    async def _remove(self, cluster: Cluster, content: Object) -> float | None:
        if PROTECTION not in finalizers(content):
            return None
        reference = dig(content, "spec", "volumeSnapshotRef", default={})
        snapshot = cluster.get(VOLUME_SNAPSHOT, f"{reference.get('namespace')}/{reference.get('name')}")
        bound = snapshot is not None and uid(snapshot) == reference.get("uid") and not deleting(snapshot)
        if bound:
            return RETRY_SECONDS
        await live.stop(cluster, content)
        if dig(content, "spec", "deletionPolicy") == "Delete":
            try:
                await self._drop(content, data.backend_of(cluster, content))
                await data.delete(cluster, content)
            except StorageError as error:
                message = f"Failed to delete snapshot: {error}"
                cluster.event(VOLUME_SNAPSHOT_CONTENT, content, "Warning", "SnapshotDeleteError", message, COMPONENT)
                return RETRY_SECONDS
        latest = cluster.get(VOLUME_SNAPSHOT_CONTENT, name(content)) or content
        wished = copy.deepcopy(latest)
        drop_finalizer(wished, PROTECTION)
        await cluster.update(VOLUME_SNAPSHOT_CONTENT, latest, wished)
        return None


async def _copy(backend: Backend, handle: str, identity: str) -> str:
    return await backend.snapshot(handle, identity)


def _source(cluster: Cluster, content: Object) -> tuple[Backend, Object, Object | None]:
    """The back end, the volume and the claim of a content's source; raises StorageError."""
    handle = dig(content, "spec", "source", "volumeHandle", default="")
    for volume in cluster.list(PERSISTENT_VOLUME):
        found = storage.of_volume(cluster.config, volume)
        if found is not None and found[1] == handle and found[0].traits.provisioner == content["spec"]["driver"]:
            reference = dig(volume, "spec", "claimRef", default={})
            where = f"{reference.get('namespace')}/{reference.get('name')}"
            return found[0], volume, cluster.get(PERSISTENT_VOLUME_CLAIM, where)
    raise StorageError(f"no PersistentVolume has the handle {handle}")


async def _take_over(cluster: Cluster, content: Object, snapshot: str) -> float | None:
    """A content that was prepared by hand: ready when its snapshot is there."""
    backend = data.backend_of(cluster, content)
    try:
        there = await backend.exists(snapshot)
    except StorageError as error:
        await data.failed(cluster, content, f"Failed to check and update snapshot content: {error}")
        return RETRY_SECONDS
    if not there:
        text = f"Failed to check and update snapshot content: there is no snapshot {snapshot}"
        await data.failed(cluster, content, text)
        return RETRY_SECONDS
    await data.write(cluster, content, {"snapshotHandle": snapshot, "creationTime": stamp(), "readyToUse": True})
    return None


def _copied_from(cluster: Cluster, guest: Object) -> Iterable[str]:
    mark = f"{namespace(guest)}/{name(guest)}/{uid(guest)}"
    return [
        name(content) for content in cluster.list(VOLUME_SNAPSHOT_CONTENT)
        if annotations_of(content).get(GUEST) == mark
    ]


def _waiting(cluster: Cluster, _: Object) -> Iterable[str]:
    return [
        name(content) for content in cluster.list(VOLUME_SNAPSHOT_CONTENT)
        if not dig(content, "status", "creationTime")
    ]


def controller() -> Controller:
    """The controller, with copies of its own."""
    return Controller(
        "volume-snapshot-contents", Copies().reconcile,
        ((VOLUME_SNAPSHOT_CONTENT, itself), (VIRTUAL_MACHINE_INSTANCE, _copied_from), (MIGRATION, _waiting)),
    )
