"""lab-ceph: images in a Ceph pool, opened by QEMU through librbd; snapshots and clones are Ceph's own."""

from __future__ import annotations

import json
import re

from lab.client import Object
from lab.config import STORAGE_ADDRESS, LabConfig
from lab.storage.backend import LiveCopy, StorageError, Traits, whole_sectors
from lab.storage.ceph_server import CONFIG_INSIDE, POOL, SERVER, config_file
from lab.storage.room import Room

CEPH = Traits("lab-ceph", "rbd.lab.drainproof.dev", live_copy=LiveCopy.NATIVE, server=SERVER)
CONTENT = "content"
"""The snapshot in an image that stands for a VolumeSnapshot: what clones of it are made from."""
PASSING = "for-"
"""Begins the name of the snapshot that an image has only while it is cloned."""
_THERE_ALREADY = re.compile(r"File exists|already exists")
_ABSENT = re.compile(r"No such file or directory|\(2\)|does not exist")


class Ceph:
    """The volumes of lab-ceph; a handle is an image's name.

    A VolumeSnapshot becomes an image of its own, a clone of a snapshot that is removed at once, so that volume and
    snapshot may be removed in any order. What still has children waits in the trash until they are gone.
    """

    def __init__(self, config: LabConfig) -> None:
        self._config_file = config_file(config)
        self._room = Room(config, SERVER)

    @property
    def traits(self) -> Traits:
        return CEPH

    def handle(self, uid: str, node: str = "") -> str:
        del node
        return f"pvc-{uid}"

    def reference(self, handle: str, node: str = "") -> Object:
        del node
        attributes = {"monitors": STORAGE_ADDRESS, "pool": POOL, "imageName": handle}
        return {"csi": {"driver": CEPH.provisioner, "volumeHandle": handle, "volumeAttributes": attributes}}

    def blockdev(self, handle: str) -> dict[str, object]:
        return {"driver": "rbd", "pool": POOL, "image": handle, "conf": str(self._config_file)}

    async def create(self, handle: str, size: int) -> None:
        wanted = ("--size", f"{whole_sectors(size)}B", "--image-feature", "layering")
        await self._unless(_THERE_ALREADY, "create", *wanted, _in(handle))

    async def exists(self, handle: str) -> bool:
        return bool(await self._unless(_ABSENT, "info", "--format", "json", _in(handle)))

    async def remove(self, handle: str) -> None:
        for passing in await self._passing(handle):
            await self._unless(_ABSENT, "snap", "rm", "--no-progress", f"{_in(handle)}@{passing}")
        await self._unless(_ABSENT, "trash", "mv", _in(handle))
        await self._empty_trash()

    async def snapshot(self, handle: str, uid: str) -> str:
        snapshot = f"snap-{uid}"
        if not await self.exists(f"{snapshot}@{CONTENT}"):
            await self._copy(handle, snapshot)
            await self._unless(_THERE_ALREADY, "snap", "create", "--no-progress", f"{_in(snapshot)}@{CONTENT}")
        return snapshot

    async def prepare_snapshot(self, handle: str, uid: str, size: int) -> str:
        raise StorageError(f"{CEPH.name} snapshots volume {handle} itself; no image of {size} bytes is made for {uid}")

    async def delete_snapshot(self, snapshot: str) -> None:
        await self._unless(_ABSENT, "snap", "rm", "--no-progress", f"{_in(snapshot)}@{CONTENT}")
        await self.remove(snapshot)

    async def create_from_snapshot(self, snapshot: str, handle: str, size: int) -> None:
        await self._unless(_THERE_ALREADY, "clone", f"{_in(snapshot)}@{CONTENT}", _in(handle))
        await self._grow(handle, size)

    async def clone(self, source: str, handle: str, size: int) -> None:
        await self._copy(source, handle)
        await self._grow(handle, size)

    async def _copy(self, source: str, handle: str) -> None:
        """Clone an image by way of a snapshot, which Ceph keeps out of sight as long as the clone needs it."""
        if await self.exists(handle):
            return
        passing = f"{_in(source)}@{PASSING}{handle}"
        await self._unless(_THERE_ALREADY, "snap", "create", "--no-progress", passing)
        await self._unless(_THERE_ALREADY, "clone", passing, _in(handle))
        await self._unless(_ABSENT, "snap", "rm", "--no-progress", passing)

    async def _passing(self, handle: str) -> list[str]:
        """What an agent which died while it cloned an image has left there: such snapshots would keep it for ever."""
        told = await self._unless(_ABSENT, "snap", "ls", "--format", "json", _in(handle))
        names = [str(snapshot["name"]) for snapshot in json.loads(told or "[]")]
        return [name for name in names if name.startswith(PASSING)]

    async def _grow(self, handle: str, wanted: int) -> None:
        size = whole_sectors(wanted)
        has = int(json.loads(await self._rbd("info", "--format", "json", _in(handle)))["size"])
        if size < has:
            await self.remove(handle)
            raise StorageError(f"volume {handle} of {size} bytes is smaller than the {has} of its source: ask for more")
        if size > has:
            await self._rbd("resize", "--no-progress", "--size", f"{size}B", _in(handle))

    async def _empty_trash(self) -> None:
        """Remove what has no children any more; parents come after their children, so look until nothing changes."""
        while True:
            left = json.loads(await self._rbd("trash", "ls", "--format", "json", POOL))
            removed = [await self._removed(image["id"]) for image in left]
            if not any(removed):
                return

    async def _removed(self, image_id: str) -> bool:
        try:
            await self._rbd("trash", "rm", "--no-progress", f"{POOL}/{image_id}")
        except StorageError:
            return False
        return True

    async def _unless(self, harmless: re.Pattern[str], *arguments: str) -> str:
        """Run rbd, and take a failure whose message matches for nothing to do."""
        try:
            return await self._rbd(*arguments)
        except StorageError as error:
            if harmless.search(str(error)):
                return ""
            raise

    async def _rbd(self, *arguments: str) -> str:
        return await self._room.run(["rbd", "--conf", CONFIG_INSIDE, *arguments])


def _in(image: str) -> str:
    return f"{POOL}/{image}"
