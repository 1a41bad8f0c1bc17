"""What classes have in common whose volumes, and snapshots of them, are files of this machine."""

from __future__ import annotations

import abc
import asyncio
from pathlib import Path

from lab.storage import files
from lab.storage.backend import whole_sectors


class FileVolumes(abc.ABC):
    """Volumes and snapshots as sparse files below one folder, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @abc.abstractmethod
    def path(self, handle: str) -> Path:
        """The file of a volume or snapshot."""

    @abc.abstractmethod
    def snapshot_handle(self, handle: str, uid: str) -> str:
        """The handle of a new snapshot of a volume."""

    async def create(self, handle: str, size: int) -> None:
        await asyncio.to_thread(files.create, self.path(handle), whole_sectors(size))

    async def exists(self, handle: str) -> bool:
        return self.path(handle).exists()

    async def remove(self, handle: str) -> None:
        await asyncio.to_thread(files.remove, self._folder, self.path(handle))

    async def snapshot(self, handle: str, uid: str) -> str:
        snapshot = self.snapshot_handle(handle, uid)
        await asyncio.to_thread(files.copy, self.path(handle), self.path(snapshot))
        return snapshot

    async def prepare_snapshot(self, handle: str, uid: str, size: int) -> str:
        snapshot = self.snapshot_handle(handle, uid)
        await asyncio.to_thread(files.create, self.path(snapshot), whole_sectors(size))
        return snapshot

    async def delete_snapshot(self, snapshot: str) -> None:
        await asyncio.to_thread(files.remove, self._folder, self.path(snapshot))

    async def create_from_snapshot(self, snapshot: str, handle: str, size: int) -> None:
        await asyncio.to_thread(files.copy, self.path(snapshot), self.path(handle), whole_sectors(size))

    async def clone(self, source: str, handle: str, size: int) -> None:
        await asyncio.to_thread(files.copy, self.path(source), self.path(handle), whole_sectors(size))
