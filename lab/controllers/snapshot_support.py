"""Which of a VM's volumes can be snapshotted: vm.status.volumeSnapshotStatuses."""

from __future__ import annotations

from lab.client import Object
from lab.controllers import snapshot_classes
from lab.kinds import PERSISTENT_VOLUME_CLAIM
from lab.machinery.cluster import Cluster
from lab.machinery.objects import dig, namespace


def note(cluster: Cluster, machine: Object) -> None:
    """Bring the VM's list up to date, in place."""
    volumes = dig(machine, "spec", "template", "spec", "volumes", default=[])
    entries = [_entry(cluster, namespace(machine), volume) for volume in volumes]
    if entries:
        machine["status"]["volumeSnapshotStatuses"] = entries
    else:
        machine["status"].pop("volumeSnapshotStatuses", None)


def _entry(cluster: Cluster, where: str, volume: Object) -> Object:
    reason = _obstacle(cluster, where, volume)
    entry: Object = {"enabled": not reason, "name": volume["name"]}
    return {**entry, "reason": reason} if reason else entry


def _obstacle(cluster: Cluster, where: str, volume: Object) -> str:
    """Why the volume cannot be snapshotted, in KubeVirt's words; empty when it can."""
    claim_name = dig(volume, "persistentVolumeClaim", "claimName") or dig(volume, "dataVolume", "name")
    if not claim_name:
        return f"Snapshot is not supported for this volumeSource type [{volume['name']}]"
    claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{where}/{claim_name}")
    if claim is None:
        return "PVC not found"
    storage_class = dig(claim, "spec", "storageClassName", default="")
    try:
        if snapshot_classes.name_for_storage_class(cluster, storage_class):
            return ""
    except ValueError as error:
        return str(error)
    return (
        "No VolumeSnapshotClass: Volume snapshots are not configured for this StorageClass "
        f"[{storage_class}] [{volume['name']}]"
    )
