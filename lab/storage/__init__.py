"""The lab's volumes: storage classes, and what keeps the volumes of each.

`classes(config)` are the classes of a lab, `backend(config, name)` does the work for one of them, and `of_volume` leads
from a PersistentVolume to both its back end and its handle.
"""

from __future__ import annotations

from collections.abc import Callable

from lab.client import Object
from lab.config import LabConfig
from lab.storage.backend import Backend, LiveCopy, NoSnapshotsError, StorageError, Traits
from lab.storage.ceph import CEPH, Ceph
from lab.storage.ceph_server import CephServer
from lab.storage.directory import LOCAL, LOCAL_CLASS, SHARED, SHARED_CLASS, Directory
from lab.storage.iscsi import ISCSI, Iscsi, IscsiServer
from lab.storage.locks import held, lock_file
from lab.storage.nfs import NFS, Nfs, NfsServer
from lab.storage.server import Server

__all__ = [
    "LOCAL_CLASS", "SERVERS", "SHARED_CLASS", "Backend", "LiveCopy", "NoSnapshotsError", "Server", "StorageError",
    "Traits", "backend", "by_provisioner", "classes", "held", "lock_file", "of_volume", "server", "storage_classes",
]

_SERVED: dict[str, tuple[Traits, Callable[[LabConfig], Backend], Callable[[LabConfig], Server]]] = {
    CEPH.server: (CEPH, Ceph, CephServer), ISCSI.server: (ISCSI, Iscsi, IscsiServer), NFS.server: (NFS, Nfs, NfsServer),
}
SERVERS = tuple(_SERVED)
"""What `lab up --storage` takes."""


def classes(config: LabConfig) -> tuple[Traits, ...]:
    """The storage classes that this lab offers."""
    return tuple(found.traits for found in _backends(config))


def backend(config: LabConfig, class_name: str) -> Backend:
    """The back end of a class; raises StorageError when the lab does not offer it."""
    for found in _backends(config):
        if found.traits.name == class_name:
            return found
    known = ", ".join(traits.name for traits in classes(config))
    raise StorageError(f"this lab has no storage class {class_name}; it has {known}")


def server(config: LabConfig, class_name: str) -> Server:
    """The server behind a class; raises StorageError when there is none, or the lab was started without it."""
    traits = backend(config, class_name).traits
    if not traits.server:
        raise StorageError(f"{class_name} has no server: its volumes are files that QEMU opens itself")
    return _SERVED[traits.server][2](config)


def by_provisioner(config: LabConfig, provisioner: str) -> Backend | None:
    """The back end that answers to a provisioner's (CSI driver's) name."""
    return next((found for found in _backends(config) if found.traits.provisioner == provisioner), None)


def of_volume(config: LabConfig, volume: Object) -> tuple[Backend, str] | None:
    """The back end and the handle of a PersistentVolume; None for a volume of a kind that the lab cannot use."""
    spec = volume.get("spec") or {}
    if csi := spec.get("csi"):
        found = by_provisioner(config, csi.get("driver", ""))
        return (found, csi["volumeHandle"]) if found and csi.get("volumeHandle") else None
    for source, traits in (("local", LOCAL), ("hostPath", SHARED)):
        path = (spec.get(source) or {}).get("path")
        if path:
            return Directory(config, traits), path
    return None


def storage_classes(config: LabConfig) -> list[Object]:
    """The StorageClass objects of a lab."""
    return [
        {
            "metadata": {"name": traits.name}, "provisioner": traits.provisioner, "reclaimPolicy": "Delete",
            "volumeBindingMode": traits.binding, "allowVolumeExpansion": False,
        }
        for traits in classes(config)
    ]


def _backends(config: LabConfig) -> tuple[Backend, ...]:
    chosen = tuple(_SERVED[name][1](config) for name in config.storage)
    return (Directory(config, SHARED), Directory(config, LOCAL), *chosen)
