"""The lab's volumes: storage classes, where a volume's file is, how it is made and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from lab.client import Object
from lab.config import LabConfig

SHARED_CLASS = "lab-shared"
LOCAL_CLASS = "lab-local"
PROVISIONERS = {SHARED_CLASS: "lab.drainproof.dev/shared", LOCAL_CLASS: "lab.drainproof.dev/local"}
ACCESS_MODES = {
    SHARED_CLASS: ("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"),
    LOCAL_CLASS: ("ReadWriteOnce", "ReadWriteOncePod"),
}
SHARED_FOLDER = "shared"
DISK_FILE = "disk.img"


def storage_classes() -> list[Object]:
    """The two StorageClass objects of every lab."""
    return [
        _storage_class(SHARED_CLASS, "Immediate"),
        _storage_class(LOCAL_CLASS, "WaitForFirstConsumer"),
    ]


def _storage_class(name: str, binding: str) -> Object:
    return {
        "metadata": {"name": name}, "provisioner": PROVISIONERS[name], "reclaimPolicy": "Delete",
        "volumeBindingMode": binding, "allowVolumeExpansion": False,
    }


def volumes_folder(config: LabConfig) -> Path:
    return config.state / "volumes"


def disk_path(config: LabConfig, folder: str, claim_uid: str) -> Path:
    """The disk file of a volume; folder is a node's name, or SHARED_FOLDER for what every node sees."""
    return volumes_folder(config) / folder / claim_uid / DISK_FILE


def volume_path(volume: Object) -> Path | None:
    """The disk file that a PersistentVolume names; None for a volume of another kind."""
    spec = volume.get("spec") or {}
    source = spec.get("local") or spec.get("hostPath") or {}
    return Path(source["path"]) if source.get("path") else None


def create(path: Path, size_bytes: int) -> None:
    """Make a sparse file of that size if there is none; an existing one is left as it is.

    The file appears under its name only when it is complete, so two callers at once do no harm.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.truncate(size_bytes)
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def remove(config: LabConfig, path: Path) -> None:
    """Remove a volume's folder; a path outside of the lab's volumes is refused with ValueError."""
    folder = path.parent.resolve()
    if folder.parent.parent != volumes_folder(config).resolve():
        raise ValueError(f"{path} is no disk of the lab's volumes in {volumes_folder(config)}; nothing was removed")
    shutil.rmtree(folder, ignore_errors=True)
