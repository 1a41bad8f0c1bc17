"""The claims of a restore, each filled from a VolumeSnapshot of the snapshotted VM."""

from __future__ import annotations

import copy

from lab.client import ConflictError, Object
from lab.controllers import claims, volume_sources
from lab.controllers.vm_restore_plan import RestoreError, claim_name, last_restore
from lab.kinds import PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE, VOLUME_SNAPSHOT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, deleting, dig, name, namespace, owner_reference, phase

RESTORE_NAME = "restore.kubevirt.io/name"
LAST = "restore.kubevirt.io/lastRestoreUID"
OWNED_BY_VM = "restore.kubevirt.io/owned-by-vm"
SOURCE_NAME = "restore.kubevirt.io/source-vm-name"
SOURCE_NAMESPACE = "restore.kubevirt.io/source-vm-namespace"
_FORGOTTEN = (
    "pv.kubernetes.io", "volume.beta.kubernetes.io", "cdi.kubevirt.io", "volume.kubernetes.io", "k8s.io/CloneRequest",
    "k8s.io/CloneOf",
)
"""Annotations of the old claim, by their beginnings, that say nothing about the new one."""


async def reconcile(cluster: Cluster, restore: Object, content: Object, target: Object | None) -> bool:
    """Make the claims and note them in the restore's status, in place; True while they are not all usable.

    Raises RestoreError.
    """
    backups = content["spec"].get("volumeBackups") or []
    planned = [_planned(restore, backup) for backup in backups]
    if dig(restore, "status", "restores", default=[]) != planned:
        restore["status"]["restores"] = planned
        return True
    waiting = False
    for backup, entry in zip(backups, planned, strict=True):
        waiting = await _claim(cluster, restore, content, backup, entry, target) or waiting
    return waiting


def _planned(restore: Object, backup: Object) -> Object:
    if not backup.get("volumeSnapshotName"):
        raise RestoreError(f"VolumeSnapshotName missing for volume {backup['volumeName']}")
    original = backup["persistentVolumeClaim"]["metadata"]["name"]
    return {
        "persistentVolumeClaim": claim_name(restore, backup["volumeName"], original),
        "volumeName": backup["volumeName"], "volumeSnapshotName": backup["volumeSnapshotName"],
    }


async def _claim(
    cluster: Cluster, restore: Object, content: Object, backup: Object, entry: Object, target: Object | None
) -> bool:
    """Make one claim, or look at it; True while it is not usable."""
    found = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(restore)}/{entry['persistentVolumeClaim']}")
    if found is None:
        await _make(cluster, restore, content, backup, entry, target)
        return True
    mine = annotations_of(found).get(LAST) == last_restore(restore)
    if restore["spec"].get("volumeRestorePolicy") == "InPlace" and not mine:
        if not deleting(found):
            await cluster.delete(PERSISTENT_VOLUME_CLAIM, found)
        return True
    if phase(found) == "Bound":
        return False
    if phase(found) not in ("", "Pending"):
        raise RestoreError(f'PVC {namespace(found)}/{name(found)} in status "{phase(found)}"')
    return not claims.waits_for_consumer(cluster, found)


async def _make(
    cluster: Cluster, restore: Object, content: Object, backup: Object, entry: Object, target: Object | None
) -> None:
    snapshot = cluster.get(VOLUME_SNAPSHOT, f"{namespace(restore)}/{entry['volumeSnapshotName']}")
    if snapshot is None:
        raise RestoreError(f"missing volumeSnapshot {entry['volumeSnapshotName']}")
    body = new_claim(restore, content, backup, entry, snapshot)
    if restore["spec"].get("volumeOwnershipPolicy") != "None":
        machine = content["spec"]["source"]["virtualMachine"]
        if target is not None:
            body["metadata"]["ownerReferences"] = [owner_reference(target, VIRTUAL_MACHINE)]
        elif _owned_by(backup["persistentVolumeClaim"], machine):
            body["metadata"]["annotations"][OWNED_BY_VM] = name(restore)
    try:
        await cluster.create(PERSISTENT_VOLUME_CLAIM, body)
    except ConflictError:
        return


def new_claim(restore: Object, content: Object, backup: Object, entry: Object, snapshot: Object) -> Object:
    """The claim that gets the snapshot's content: like the old one, and large enough."""
    old = backup["persistentVolumeClaim"]
    machine = content["spec"]["source"]["virtualMachine"]["metadata"]
    annotations = {
        field: value for field, value in (old["metadata"].get("annotations") or {}).items()
        if not field.startswith(_FORGOTTEN)
    }
    labels = {
        **(old["metadata"].get("labels") or {}), SOURCE_NAME: machine["name"], SOURCE_NAMESPACE: machine["namespace"],
    }
    annotations |= {RESTORE_NAME: name(restore), LAST: last_restore(restore)}
    for override in restore["spec"].get("volumeRestoreOverrides") or []:
        if override.get("volumeName") == entry["volumeName"]:
            labels |= override.get("labels") or {}
            annotations |= override.get("annotations") or {}
    reference = {
        "apiGroup": VOLUME_SNAPSHOT.group, "kind": VOLUME_SNAPSHOT.name, "name": entry["volumeSnapshotName"],
    }
    kept = ("accessModes", "resources", "storageClassName", "volumeMode")
    spec = copy.deepcopy({field: old["spec"][field] for field in kept if field in old["spec"]})
    least = dig(snapshot, "status", "restoreSize")
    requests = spec.setdefault("resources", {}).setdefault("requests", {})
    if least and volume_sources.size(requests.get("storage", "0")) < volume_sources.size(least):
        requests["storage"] = least
    return {
        "metadata": {
            "name": entry["persistentVolumeClaim"], "namespace": namespace(restore), "labels": labels,
            "annotations": annotations,
        },
        "spec": {**spec, "dataSource": reference, "dataSourceRef": dict(reference)},
    }


def _owned_by(claim: Object, machine: Object) -> bool:
    return any(
        reference["kind"] == VIRTUAL_MACHINE.name and reference["uid"] == machine["metadata"].get("uid")
        for reference in claim["metadata"].get("ownerReferences") or []
    )
