"""Volumes as files in a directory of this machine: lab-shared, which every node sees, and lab-local, of one node."""

from __future__ import annotations

from pathlib import Path

from lab.client import Object
from lab.config import LabConfig
from lab.storage import files
from lab.storage.backend import ONE_NODE, LiveCopy, Traits
from lab.storage.file_volumes import FileVolumes

SHARED_CLASS = "lab-shared"
LOCAL_CLASS = "lab-local"
SHARED_FOLDER = "shared"
SHARED = Traits(SHARED_CLASS, "lab.drainproof.dev/shared", live_copy=LiveCopy.BACKUP, volume_mode="Filesystem")
LOCAL = Traits(
    LOCAL_CLASS, "lab.drainproof.dev/local", ONE_NODE, binding="WaitForFirstConsumer", live_copy=LiveCopy.BACKUP,
    volume_mode="Filesystem",
)


def volumes_folder(config: LabConfig) -> Path:
    """Where every class that keeps files has them, as `<group>/<name>/disk.img`."""
    return config.state / "volumes"


class Directory(FileVolumes):
    """A class whose volumes are files that QEMU opens itself; a handle is the file's path."""

    def __init__(self, config: LabConfig, traits: Traits) -> None:
        super().__init__(volumes_folder(config))
        self._traits = traits

    @property
    def traits(self) -> Traits:
        return self._traits

    def handle(self, uid: str, node: str = "") -> str:
        return str(self._folder / (node if self._local else SHARED_FOLDER) / uid / files.DISK_FILE)

    def reference(self, handle: str, node: str = "") -> Object:
        if not self._local:
            return {"hostPath": {"path": handle, "type": ""}}
        term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
        return {"local": {"path": handle}, "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}

    def blockdev(self, handle: str) -> dict[str, object]:
        return {"driver": "file", "filename": handle, "aio": "threads"}

    def path(self, handle: str) -> Path:
        return Path(handle)

    def snapshot_handle(self, handle: str, uid: str) -> str:
        """Beside the volumes, on the node that has the volume."""
        return str(Path(handle).parent.parent / f"snap-{uid}" / files.DISK_FILE)

    @property
    def _local(self) -> bool:
        return self._traits.name == LOCAL_CLASS
