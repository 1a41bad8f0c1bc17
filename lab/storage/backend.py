"""What every storage class of the lab can do, whatever keeps its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lab.client import Object

SHARED_MODE = "ReadWriteMany"
ONE_NODE_MODE = "ReadWriteOnce"
ANY_NODE = (ONE_NODE_MODE, SHARED_MODE, "ReadOnlyMany", "ReadWriteOncePod")
ONE_NODE = (ONE_NODE_MODE, "ReadWriteOncePod")
FILE_SYSTEM = "Filesystem"


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
    """The mode in which nodes may share a volume; the lab gives a guest the same raw disk in either mode."""
    binding: str = "Immediate"
    live_copy: LiveCopy = LiveCopy.NONE
    server: str = ""
    """The name by which `lab up --storage` starts the server; empty: none is needed."""

    @property
    def snapshots(self) -> bool:
        return self.live_copy is not LiveCopy.NONE

    @property
    def claim_property_sets(self) -> tuple[tuple[str, str], ...]:
        """Access and volume modes that go together, as CDI tells them of block (Ceph RBD) and of file storage (NFS)."""
        sets = [(mode, self.volume_mode) for mode in (SHARED_MODE, ONE_NODE_MODE) if mode in self.access_modes]
        return tuple(sets) if self.volume_mode == FILE_SYSTEM else (*sets, (ONE_NODE_MODE, FILE_SYSTEM))

    def refusal(self, access_modes: Sequence[str], volume_mode: str) -> str:
        """Why the provisioner makes no volume of these modes; empty: it does.

        A file system on a block device belongs to one node: two that mount it destroy it.
        """
        unsupported = [mode for mode in access_modes if mode not in self.access_modes]
        if unsupported:
            return f"access mode {unsupported[0]} is not supported; it offers {', '.join(self.access_modes)}"
        if SHARED_MODE in access_modes and volume_mode == FILE_SYSTEM != self.volume_mode:
            return f"access mode {SHARED_MODE} is only supported for volumes of volumeMode {self.volume_mode}"
        return ""


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
