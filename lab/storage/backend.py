"""What every storage class of the lab can do, whatever keeps its volumes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lab.client import Object

ANY_NODE = ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod")
ONE_NODE = ("ReadWriteOnce", "ReadWriteOncePod")


SECTOR_BYTES = 512


def whole_sectors(size: int) -> int:
    """A size that a block device can have: rounded up, as storage systems do."""
    return -(-size // SECTOR_BYTES) * SECTOR_BYTES


class StorageError(Exception):
    """A volume cannot be had as asked; the message names the volume, its class and what is missing."""


class NoSnapshotsError(StorageError):
    """The storage class has no snapshots."""


class LiveCopy(StrEnum):
    """How a consistent snapshot is made of a volume that a running QEMU uses."""

    NONE = "none"
    """The class has no snapshots."""
    BACKUP = "backup"
    """By that QEMU: `prepare_snapshot`, then QMP `blockdev-backup sync=full` into `snapshot_blockdev`."""
    NATIVE = "native"
    """By the storage: `snapshot` is atomic, whoever writes meanwhile."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a StorageClass object and a snapshot controller have to know of a class."""

    name: str
    """The StorageClass object's name."""
    provisioner: str
    """Also the CSI driver's name in volumes and snapshot classes."""
    access_modes: tuple[str, ...] = ANY_NODE
    volume_mode: str = "Block"
    """What CDI prefers for disks; the lab gives a guest the same raw disk in either mode."""
    binding: str = "Immediate"
    live_copy: LiveCopy = LiveCopy.NONE
    server: str = ""
    """The name by which `lab up --storage` starts the server; empty: none is needed."""

    @property
    def snapshots(self) -> bool:
        return self.live_copy is not LiveCopy.NONE


class Backend(Protocol):
    """The volumes of one storage class. Every method with a name of its own for volumes takes a volume's handle.

    A handle is what a PersistentVolume remembers: a path or a name. Sizes are bytes, rounded up to whole sectors. What
    is there already is left as it is by `create`, `create_from_snapshot` and `clone`; removing what is absent is no
    error; so each may be repeated, and called twice at once. All raise StorageError when the storage does not do it (in
    time).
    """

    @property
    def traits(self) -> Traits:
        """What the class offers."""

    def handle(self, uid: str, node: str = "") -> str:
        """The handle of a new volume for the claim of that uid; `node` for classes of one node."""

    def reference(self, handle: str, node: str = "") -> Object:
        """The part of a PersistentVolume's spec that leads to the volume."""

    def blockdev(self, handle: str) -> dict[str, object]:
        """QEMU's protocol-level block node (driver and its options, no node name) for a volume or BACKUP snapshot."""

    async def create(self, handle: str, size: int) -> None:
        """Make an empty volume, which reads as zeros."""

    async def exists(self, handle: str) -> bool:
        """Whether the volume is there."""

    async def remove(self, handle: str) -> None:
        """Remove the volume and all that is in it."""

    async def snapshot(self, handle: str, uid: str) -> str:
        """Copy the volume's content as a snapshot, and return its handle; with BACKUP the volume must be at rest."""

    async def prepare_snapshot(self, handle: str, uid: str, size: int) -> str:
        """Make the empty snapshot that a QEMU's backup job is to fill (BACKUP only), and return its handle."""

    async def delete_snapshot(self, snapshot: str) -> None:
        """Remove a snapshot."""

    async def create_from_snapshot(self, snapshot: str, handle: str, size: int) -> None:
        """Make a volume with the snapshot's content; a larger one ends in zeros."""

    async def clone(self, source: str, handle: str, size: int) -> None:
        """Make a volume with the content of another volume at rest (with NATIVE: of any)."""
