"""lab-iscsi: tgt serves disk files as SCSI disks, a target with one logical unit for each volume; no snapshots."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from lab.client import Object
from lab.config import STORAGE_ADDRESS, LabConfig
from lab.storage import files
from lab.storage.backend import NoSnapshotsError, StorageError, Traits, whole_sectors
from lab.storage.directory import volumes_folder
from lab.storage.room import Room
from lab.storage.server import listens, until

ISCSI = Traits("lab-iscsi", "iscsi.lab.drainproof.dev", server="iscsi")
PORT = 3260
IQN = "iqn.2026-01.dev.drainproof.lab"
LUN = 1
_TARGET = re.compile(rf"^Target \d+: {re.escape(IQN)}:(\S+)$", re.MULTILINE)


class Iscsi:
    """The volumes of lab-iscsi; a handle is the last part of the target's name."""

    def __init__(self, config: LabConfig) -> None:
        self._folder = volumes_folder(config)
        self._targets = Targets(Room(config, ISCSI.server))

    @property
    def traits(self) -> Traits:
        return ISCSI

    def handle(self, uid: str, node: str = "") -> str:
        del node
        return f"pvc-{uid}"

    def reference(self, handle: str, node: str = "") -> Object:
        del node
        attributes = {"targetPortal": f"{STORAGE_ADDRESS}:{PORT}", "iqn": f"{IQN}:{handle}", "lun": str(LUN)}
        return {"csi": {"driver": ISCSI.provisioner, "volumeHandle": handle, "volumeAttributes": attributes}}

    def blockdev(self, handle: str) -> dict[str, object]:
        portal = f"{STORAGE_ADDRESS}:{PORT}"
        return {"driver": "iscsi", "transport": "tcp", "portal": portal, "target": f"{IQN}:{handle}", "lun": LUN}

    async def create(self, handle: str, size: int) -> None:
        await asyncio.to_thread(files.create, self._path(handle), whole_sectors(size))
        await self._targets.offer(handle)

    async def exists(self, handle: str) -> bool:
        return self._path(handle).exists()

    async def remove(self, handle: str) -> None:
        await self._targets.withdraw(handle)
        await asyncio.to_thread(files.remove, self._folder, self._path(handle))

    async def snapshot(self, handle: str, uid: str) -> str:
        raise _no_snapshots(handle, uid)

    async def prepare_snapshot(self, handle: str, uid: str, size: int) -> str:
        del size
        raise _no_snapshots(handle, uid)

    async def delete_snapshot(self, snapshot: str) -> None:
        raise _no_snapshots("", snapshot)

    async def create_from_snapshot(self, snapshot: str, handle: str, size: int) -> None:
        del size
        raise _no_snapshots(handle, snapshot)

    async def clone(self, source: str, handle: str, size: int) -> None:
        await asyncio.to_thread(files.copy, self._path(source), self._path(handle), whole_sectors(size))
        await self._targets.offer(handle)

    def _path(self, handle: str) -> Path:
        return self._folder / ISCSI.server / handle / files.DISK_FILE


def _no_snapshots(handle: str, snapshot: str) -> NoSnapshotsError:
    return NoSnapshotsError(
        f"{ISCSI.name} has no snapshots, so there is no snapshot {snapshot} of volume {handle or '(none)'}; "
        "use a class that has them, such as lab-ceph"
    )


class Targets:
    """The targets of a running tgtd. One caller at a time changes them, in whatever process it is."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def offer(self, handle: str) -> None:
        """Make a target of a disk file that is there; nothing is done when there is one."""
        async with self._alone():
            if handle in await self._offered():
                return
            try:
                await self._make(handle)
            except StorageError:
                # Numbers are made of handles: what has this one's number may be another's, in use.
                if handle in await self._offered():
                    await self._delete(handle)
                raise

    async def withdraw(self, handle: str) -> None:
        """Take the target away, whoever is logged in."""
        async with self._alone():
            if handle in await self._offered():
                await self._delete(handle)

    async def offer_all(self) -> None:
        """Make a target of every disk file, for a tgtd that has just been started."""
        for path in sorted(self._room.volumes.glob(f"*/{files.DISK_FILE}")):
            await self.offer(path.parent.name)

    async def _make(self, handle: str) -> None:
        path = f"/volumes/{handle}/{files.DISK_FILE}"
        number = _number(handle)
        unit = ("--mode", "logicalunit", "--tid", number, "--lun", str(LUN))
        await self._tgtadm("--op", "new", "--mode", "target", "--tid", number, "--targetname", f"{IQN}:{handle}")
        await self._tgtadm("--op", "new", *unit, "--backing-store", path)
        await self._tgtadm("--op", "update", *unit, "--params", "thin_provisioning=1")
        await self._tgtadm("--op", "bind", "--mode", "target", "--tid", number, "--initiator-address", "ALL")

    async def _delete(self, handle: str) -> None:
        await self._tgtadm("--op", "delete", "--mode", "target", "--tid", _number(handle), "--force")

    async def _offered(self) -> list[str]:
        return _TARGET.findall(await self._tgtadm("--op", "show", "--mode", "target"))

    async def _tgtadm(self, *arguments: str) -> str:
        return await self._room.run(["tgtadm", "--lld", "iscsi", *arguments])

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        descriptor = os.open(self._room.state / "targets.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _number(handle: str) -> str:
    """The number of a volume's target, the same after every restart of the server."""
    return str(1 + zlib.crc32(handle.encode()) % (2**31 - 2))


class IscsiServer:
    """tgtd, which forgets its targets when it ends: a successor is told them again."""

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._room = Room(config, ISCSI.server)

    @property
    def room(self) -> Room:
        return self._room

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        return (("tgtd",),)

    async def start(self) -> None:
        self.room.furnish("run/tgtd")
        self.room.spawn("tgtd", ["tgtd", "-f", "--iscsi", f"portal={STORAGE_ADDRESS}:{PORT}"])
        await until("tgtd", lambda: listens(self._config, PORT), self.room)
        await Targets(self.room).offer_all()

    async def fail_over(self) -> None:
        await self.room.kill("tgtd")
        await self.start()
