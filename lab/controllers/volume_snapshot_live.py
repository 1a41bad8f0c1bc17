"""Snapshots of volumes in use, copied by the QEMU that uses them: begun, followed, and given up whole or not at all."""

from __future__ import annotations

import copy

from lab.client import Object
from lab.controllers import live_copies, volume_sources, volume_users
from lab.controllers.live_copies import CopyState, LiveCopyError
from lab.controllers.volume_snapshot_data import delete, failed, snapshot_id, write
from lab.controllers.volume_users import Use
from lab.kinds import VIRTUAL_MACHINE_INSTANCE, VOLUME_SNAPSHOT_CONTENT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, dig, final, name, namespace, stamp, uid
from lab.storage import Backend, StorageError

GUEST = "lab.drainproof.dev/copied-by"
"""`namespace/name/uid` of the VMI whose QEMU makes the copy, as long as it does."""
POLL_SECONDS = 0.3


async def begin(cluster: Cluster, content: Object, backend: Backend, volume: Object, use: Use) -> float | None:
    """Have the guest's QEMU begin the copy; its moment is now."""
    assert use.instance is not None
    guest = f"{namespace(use.instance)}/{name(use.instance)}/{uid(use.instance)}"
    marked = copy.deepcopy(content)
    marked["metadata"]["annotations"] = {**annotations_of(content), GUEST: guest}
    content = await cluster.update(VOLUME_SNAPSHOT_CONTENT, content, marked)
    size = volume_sources.size(dig(volume, "spec", "capacity", "storage", default="0"))
    handle = volume_sources.handle_of(cluster, volume)
    try:
        snapshot = await backend.prepare_snapshot(handle, snapshot_id(content), size)
        target = backend.blockdev(snapshot)
        await live_copies.start(cluster, use.instance, use.volume, snapshot_id(content), target)
    except (StorageError, LiveCopyError):
        await _give_up(cluster, content, "")
        raise
    fields = {"snapshotHandle": snapshot, "creationTime": stamp(), "restoreSize": size, "readyToUse": False}
    await write(cluster, content, fields)
    return POLL_SECONDS


async def follow(cluster: Cluster, content: Object) -> float | None:
    """See how the guest's QEMU gets on."""
    where, guest, identity = annotations_of(content)[GUEST].split("/")
    if not dig(content, "status", "creationTime"):
        # The controller was stopped between mark and status: whatever was begun is begun anew.
        await _give_up(cluster, content, "")
        return 0.0
    instance = cluster.get(VIRTUAL_MACHINE_INSTANCE, f"{where}/{guest}")
    if instance is None or uid(instance) != identity or final(instance):
        await _give_up(cluster, content, f"guest {where}/{guest} ended before its volume was copied")
        return None
    found, text = await live_copies.state(cluster, where, guest, snapshot_id(content))
    if found is CopyState.RUNNING:
        return POLL_SECONDS
    if found is CopyState.FAILED:
        moved = ", because the guest migrates" if volume_users.migrating(cluster, instance) else ""
        reason = f"the copy by QEMU of {where}/{guest} failed{moved}: {text}; take the snapshot again"
        await _give_up(cluster, content, reason)
        return None
    await live_copies.finish(cluster, where, guest, snapshot_id(content))
    await write(cluster, content, {"readyToUse": True})
    await _unmark(cluster, content)
    return None


async def _give_up(cluster: Cluster, content: Object, reason: str) -> None:
    """Remove an unfinished copy. With a reason it is the content's error for good; without, it is begun anew."""
    await stop(cluster, content)
    await delete(cluster, content)
    if reason:
        await failed(cluster, content, reason)
    await _unmark(cluster, content)


async def _unmark(cluster: Cluster, content: Object) -> None:
    latest = cluster.get(VOLUME_SNAPSHOT_CONTENT, name(content)) or content
    wished = copy.deepcopy(latest)
    wished["metadata"]["annotations"] = {
        key: value for key, value in annotations_of(wished).items() if key != GUEST
    }
    await cluster.update(VOLUME_SNAPSHOT_CONTENT, latest, wished)


async def stop(cluster: Cluster, content: Object) -> None:
    """End QEMU's part in the copy; a guest that is gone has ended it."""
    mark = annotations_of(content).get(GUEST)
    if not mark:
        return
    where, guest, identity = mark.split("/")
    instance = cluster.get(VIRTUAL_MACHINE_INSTANCE, f"{where}/{guest}")
    if instance is not None and uid(instance) == identity and not final(instance):
        await live_copies.finish(cluster, where, guest, snapshot_id(content))
