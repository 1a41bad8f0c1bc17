"""The VolumeSnapshotClass objects of a lab: one for each of its storage classes that has snapshots."""

from __future__ import annotations

from lab import storage
from lab.client import Object
from lab.config import LabConfig
from lab.kinds import VOLUME_SNAPSHOT_CLASS, Kind

DEFAULT_CLASS = "snapshot.storage.kubernetes.io/is-default-class"


def objects(config: LabConfig) -> list[tuple[Kind, Object]]:
    """Each is named like its storage class, and is the default one of its driver."""
    return [
        (VOLUME_SNAPSHOT_CLASS, {
            "metadata": {"name": traits.name, "annotations": {DEFAULT_CLASS: "true"}}, "driver": traits.provisioner,
            "deletionPolicy": "Delete",
        })
        for traits in storage.classes(config) if traits.snapshots
    ]
