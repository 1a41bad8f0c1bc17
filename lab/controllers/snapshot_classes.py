"""Which VolumeSnapshotClass serves a volume, and what makes a snapshot impossible."""

from __future__ import annotations

from lab.client import Object
from lab.kinds import STORAGE_CLASS, VOLUME_SNAPSHOT_CLASS
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, dig, name

BOUND_CONTENT = "boundVolumeSnapshotContentName"
DEFAULT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"


class SnapshotError(Exception):
    """A snapshot cannot be made as asked; the reason is that of its event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def driver_of(cluster: Cluster, volume: Object) -> str:
    """The CSI driver of a volume: the provisioner of its class."""
    driver = dig(volume, "spec", "csi", "driver", default="")
    if driver:
        return str(driver)
    found = cluster.get(STORAGE_CLASS, dig(volume, "spec", "storageClassName", default=""))
    return str(found["provisioner"]) if found else ""


def class_for(cluster: Cluster, volume: Object, wanted: str) -> Object:
    """The named class, else the driver's default one; raises SnapshotError."""
    failed = "Failed to create snapshot content with error failed to get input parameters to create snapshot"
    driver = driver_of(cluster, volume)
    if wanted:
        found = cluster.get(VOLUME_SNAPSHOT_CLASS, wanted)
        if found is None:
            text = f'{failed}: "volumesnapshotclass.snapshot.storage.k8s.io \\"{wanted}\\" not found"'
            raise SnapshotError("SnapshotContentCreationFailed", text)
        if found["driver"] != driver:
            text = f"{failed}: class {wanted} is of driver {found['driver']}, the volume {name(volume)} of {driver}"
            raise SnapshotError("SnapshotContentCreationFailed", text)
        return found
    defaults = [
        item for item in cluster.list(VOLUME_SNAPSHOT_CLASS)
        if item["driver"] == driver and annotations_of(item).get(DEFAULT_CLASS) == "true"
    ]
    if len(defaults) != 1:
        text = (f"{len(defaults)} default snapshot classes were found" if defaults
                else "cannot find default snapshot class")
        raise SnapshotError("SetDefaultSnapshotClassFailed", f"Failed to set default snapshot class with error {text}")
    return defaults[0]


def name_for_storage_class(cluster: Cluster, storage_class: str) -> str:
    """The snapshot class that KubeVirt takes for a storage class; empty without one, ValueError when it cannot choose.

    The one with the class's driver; of several the default.
    """
    found = cluster.get(STORAGE_CLASS, storage_class) if storage_class else None
    if found is None:
        return ""
    matches = [item for item in cluster.list(VOLUME_SNAPSHOT_CLASS) if item["driver"] == found["provisioner"]]
    if len(matches) > 1:
        marked = [item for item in matches if DEFAULT_CLASS in annotations_of(item)]
        if not marked:
            raise ValueError(f"{len(matches)} matching VolumeSnapshotClasses for {storage_class}")
        matches = marked
    return name(matches[0]) if matches else ""
