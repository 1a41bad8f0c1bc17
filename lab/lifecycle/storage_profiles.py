"""The StorageProfile objects of a lab: what KubeVirt's CDI tells of each of its storage classes."""

from __future__ import annotations

from lab import storage
from lab.client import Object
from lab.config import LabConfig
from lab.kinds import STORAGE_PROFILE, Kind
from lab.storage import Traits


def objects(config: LabConfig) -> list[tuple[Kind, Object]]:
    """Each is named like its storage class; the first set of modes is what CDI takes where a disk asks for none."""
    return [
        (STORAGE_PROFILE, {"metadata": {"name": traits.name}, "spec": {}, "status": _status(traits)})
        for traits in storage.classes(config)
    ]


def _status(traits: Traits) -> Object:
    sets = [{"accessModes": [access], "volumeMode": volume} for access, volume in traits.claim_property_sets]
    status = {"claimPropertySets": sets, "provisioner": traits.provisioner, "storageClass": traits.name}
    copied = {"cloneStrategy": "snapshot", "snapshotClass": traits.name}
    return {**status, **copied} if traits.snapshots else {**status, "cloneStrategy": "copy"}
