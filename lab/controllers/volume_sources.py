"""What a new volume is filled with: a VolumeSnapshot or another claim, as the claim's dataSource says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from lab import storage
from lab.client import Object
from lab.controllers import volume_users
from lab.controllers.snapshot_classes import BOUND_CONTENT, driver_of
from lab.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, VOLUME_SNAPSHOT, VOLUME_SNAPSHOT_CONTENT
from lab.machinery import quantity
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, deleting, dig, key, name, namespace, phase
from lab.storage import Backend, LiveCopy, StorageError

ALLOW_MODE_CHANGE = "snapshot.storage.kubernetes.io/allow-volume-mode-change"


class SourceKind(StrEnum):
    """What a claim's dataSource may be."""

    SNAPSHOT = "VolumeSnapshot"
    CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the content of a new volume comes from."""

    kind: SourceKind
    handle: str
    claim: Object | None = None
    """The claim that is cloned."""


def reference(claim: Object) -> Object | None:
    """The claim's data source: dataSourceRef, which the API server fills from dataSource."""
    found: Object | None = dig(claim, "spec", "dataSourceRef") or dig(claim, "spec", "dataSource")
    return found


def find(cluster: Cluster, claim: Object, storage_class: Object) -> Source | None:
    """The source that the claim asks for, None for an empty volume; raises StorageError when it cannot be used now."""
    wanted = reference(claim)
    if wanted is None:
        return None
    if wanted["kind"] == SourceKind.SNAPSHOT and wanted.get("apiGroup") == VOLUME_SNAPSHOT.group:
        return _snapshot(cluster, claim, wanted["name"], storage_class)
    if wanted["kind"] == SourceKind.CLAIM and not wanted.get("apiGroup"):
        return _claim(cluster, claim, wanted["name"])
    raise StorageError(f"the PVC source {wanted.get('apiGroup', '')}/{wanted['kind']} is not supported")


def _snapshot(cluster: Cluster, claim: Object, wanted: str, storage_class: Object) -> Source:
    prefix = f"error getting handle for DataSource Type VolumeSnapshot by Name {wanted}: "
    snapshot = cluster.get(VOLUME_SNAPSHOT, f"{namespace(claim)}/{wanted}")
    if snapshot is None:
        text = f'error getting snapshot {wanted} from api server: volumesnapshots.snapshot.storage.k8s.io "{wanted}"'
        raise StorageError(f"{prefix}{text} not found")
    if deleting(snapshot):
        raise StorageError(f"{prefix}snapshot {wanted} is being deleted")
    bound = dig(snapshot, "status", BOUND_CONTENT, default="")
    content = cluster.get(VOLUME_SNAPSHOT_CONTENT, bound) if bound else None
    if content is None:
        raise StorageError(f"{prefix}snapshot {wanted} not bound")
    if dig(content, "spec", "driver") != storage_class["provisioner"]:
        text = f"snapshotcontent {bound} for snapshot {wanted} is handled by a different CSI driver than requested by "
        raise StorageError(f"{prefix}{text}StorageClass {name(storage_class)}")
    taken, asked = dig(content, "spec", "sourceVolumeMode"), dig(claim, "spec", "volumeMode", default="Filesystem")
    if taken not in (None, asked) and annotations_of(content).get(ALLOW_MODE_CHANGE) != "true":
        text = f"requested volume {key(claim)} modifies the mode of the source volume but does not have permission to"
        raise StorageError(f"{prefix}{text} do so. {ALLOW_MODE_CHANGE} annotation is not present on {bound}")
    if not dig(snapshot, "status", "readyToUse") or not dig(content, "status", "readyToUse"):
        raise StorageError(f"{prefix}snapshot {wanted} is not Ready")
    least = size(dig(snapshot, "status", "restoreSize", default="0"))
    if requested(claim) < least:
        text = f"requested volume size {requested(claim)} is less than the size {least} for the source snapshot"
        raise StorageError(f"{prefix}{text} {wanted}")
    return Source(SourceKind.SNAPSHOT, str(dig(content, "status", "snapshotHandle", default="")))


def _claim(cluster: Cluster, claim: Object, wanted: str) -> Source:
    prefix = f"error getting handle for DataSource Type PersistentVolumeClaim by Name {wanted}: "
    source = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(claim)}/{wanted}")
    if source is None:
        text = f'error getting PVC {wanted} (namespace "{namespace(claim)}") from api server: persistentvolumeclaims'
        raise StorageError(f'{prefix}{text} "{wanted}" not found')
    if deleting(source):
        raise StorageError(f"{prefix}the PVC DataSource {wanted} is currently being deleted")
    volume = cluster.get(PERSISTENT_VOLUME, dig(source, "spec", "volumeName", default=""))
    if phase(source) != "Bound" or volume is None:
        raise StorageError(f"{prefix}the PVC DataSource {wanted} must have a status of Bound")
    if dig(source, "spec", "storageClassName") != dig(claim, "spec", "storageClassName"):
        raise StorageError(f"{prefix}claim in dataSource not bound or invalid: its storage class is another one")
    held = size(dig(source, "status", "capacity", "storage", default="0"))
    if requested(claim) < held:
        text = ("error, new PVC request must be greater than or equal in size to the specified PVC data source, "
                f"requested {requested(claim)} but source is {held}")
        raise StorageError(prefix + text)
    return Source(SourceKind.CLAIM, handle_of(cluster, volume), source)


async def fill(cluster: Cluster, backend: Backend, source: Source | None, handle: str, wanted: int) -> None:
    """Make the volume of a handle; raises StorageError, and nothing half made stays."""
    if source is None:
        await backend.create(handle, wanted)
    elif source.kind is SourceKind.SNAPSHOT:
        await backend.create_from_snapshot(source.handle, handle, wanted)
    else:
        await _clone(cluster, backend, source, handle, wanted)


async def _clone(cluster: Cluster, backend: Backend, source: Source, handle: str, wanted: int) -> None:
    """Copy a volume at rest: one that a guest begins to use meanwhile may be half old and half new."""
    assert source.claim is not None
    careful = backend.traits.live_copy is not LiveCopy.NATIVE
    if careful:
        _check_at_rest(cluster, source.claim)
        await backend.remove(handle)  # what an interrupted attempt left was never checked
    await backend.clone(source.handle, handle, wanted)
    if careful:
        try:
            _check_at_rest(cluster, source.claim)
        except StorageError:
            await backend.remove(handle)
            raise


def _check_at_rest(cluster: Cluster, claim: Object) -> None:
    use = volume_users.of_claim(cluster, claim)
    if not use.at_rest:
        why = use.problem or f"guest {key(use.instance or claim)} uses the volume"
        raise StorageError(f"PVC {key(claim)} cannot be cloned while in use: {why}; clone a VolumeSnapshot of it")


def restoring(cluster: Cluster, snapshot: Object) -> bool:
    """Whether a claim still waits to be filled from the snapshot."""
    for claim in cluster.list(PERSISTENT_VOLUME_CLAIM, namespace(snapshot)):
        wanted = reference(claim)
        mine = wanted is not None and wanted["kind"] == SourceKind.SNAPSHOT and wanted["name"] == name(snapshot)
        if mine and phase(claim) == "Pending" and not deleting(claim):
            return True
    return False


def handle_of(cluster: Cluster, volume: Object) -> str:
    """The handle of a PersistentVolume; raises StorageError for one that no class of the lab keeps."""
    found = storage.of_volume(cluster.config, volume)
    if found is None:
        raise StorageError(f"PV {name(volume)} is of no storage class of this lab ({driver_of(cluster, volume)})")
    return found[1]


def requested(claim: Object) -> int:
    """The bytes that a claim asks for."""
    return size(dig(claim, "spec", "resources", "requests", "storage", default="0"))


def size(text: str) -> int:
    return math.ceil(quantity.parse(text))
