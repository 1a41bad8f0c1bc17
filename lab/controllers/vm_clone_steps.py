"""The steps of a clone: its temporary snapshot and restore, made, judged and removed."""

from __future__ import annotations

from lab.client import ApiError, ConflictError, Object, UnavailableError
from lab.controllers import vm_snapshot
from lab.controllers.vm_clone_patches import patches
from lab.kinds import (
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
    VM_CLONE,
    VM_RESTORE,
    VM_SNAPSHOT,
    VM_SNAPSHOT_CONTENT,
    Kind,
)
from lab.machinery.cluster import Cluster
from lab.machinery.objects import dig, name, namespace, owner_reference, phase, uid

COMPONENT = "clone-controller"


class PendingError(Exception):
    """The clone waits for something that others have to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CloneError(Exception):
    """The clone has failed for good."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def snapshot_of(cluster: Cluster, clone: Object) -> Object | None:
    """The snapshot that is cloned, None while it is only just being made; raises PendingError without the source."""
    source, where = clone["spec"]["source"], namespace(clone)
    if source["kind"] == VM_SNAPSHOT.name:
        found = cluster.get(VM_SNAPSHOT, f"{where}/{source['name']}")
        if found is None:
            text = f"Source doesnt exist: {VM_SNAPSHOT.name} {where}/{source['name']}"
            raise PendingError("SourceDoesNotExist", text)
        return found
    if own := clone["status"].get("snapshotName"):
        return cluster.get(VM_SNAPSHOT, f"{where}/{own}")
    machine = cluster.get(VIRTUAL_MACHINE, f"{where}/{source['name']}")
    if machine is None:
        text = f"Source doesnt exist: {VIRTUAL_MACHINE.name} {where}/{source['name']}"
        raise PendingError("SourceDoesNotExist", text)
    _check_volumes(machine)
    own = f"tmp-snapshot-{uid(clone)}"
    body = {
        "metadata": {"name": own, "namespace": where, "ownerReferences": [owner_reference(clone, VM_CLONE)]},
        "spec": {
            "source": {"apiGroup": VIRTUAL_MACHINE.group, "kind": VIRTUAL_MACHINE.name, "name": source["name"]},
        },
    }
    if await _make(cluster, clone, VM_SNAPSHOT, body):
        event(cluster, clone, "SnapshotCreated", f"created snapshot {own} for clone {name(clone)}")
    clone["status"]["snapshotName"] = own
    return None


def _check_volumes(machine: Object) -> None:
    """Raises PendingError for volumes that cannot be snapshotted, or are not known to be."""
    known = {
        entry["name"]: entry["enabled"] for entry in dig(machine, "status", "volumeSnapshotStatuses", default=[])
    }
    problems = []
    for volume in dig(machine, "spec", "template", "spec", "volumes", default=[]):
        if "persistentVolumeClaim" not in volume and "dataVolume" not in volume:
            continue
        if volume["name"] not in known:
            problems.append(f"Virtual Machine volume {volume['name']} snapshot support unknown")
        elif not known[volume["name"]]:
            problems.append(f"Virtual Machine volume {volume['name']} does not support snapshots")
    if problems:
        raise PendingError("VMVolumeSnapshotsInvalid", "\n".join(problems))


def check_ready(cluster: Cluster, clone: Object, snapshot: Object) -> bool:
    """Whether the snapshot can be restored; raises CloneError when it has failed or lacks a volume of the VM."""
    if phase(snapshot) == "Failed":
        raise CloneError("SnapshotContentInvalid", f"snapshot {name(snapshot)} failed")
    if not vm_snapshot.ready(snapshot):
        text = dig(snapshot, "status", "error", "message")
        if phase(snapshot) == "Succeeded" and text:
            raise CloneError("SnapshotContentInvalid", f"snapshot {name(snapshot)} is not ready to use: {text}")
        return False
    content = _content(cluster, snapshot)
    volumes = dig(content, "spec", "source", "virtualMachine", "spec", "template", "spec", "volumes", default=[])
    kept = {backup["volumeName"] for backup in dig(content, "spec", "volumeBackups", default=[])}
    lost = [
        f"volume {volume['name']} is not backed up in snapshot {name(snapshot)}" for volume in volumes
        if ("persistentVolumeClaim" in volume or "dataVolume" in volume) and volume["name"] not in kept
    ]
    if lost:
        raise CloneError("SnapshotContentInvalid", "\n".join(lost))
    message = f"snapshot {name(snapshot)} for clone {name(clone)} is ready to use"
    event(cluster, clone, "SnapshotReady", message)
    return True


def _content(cluster: Cluster, snapshot: Object) -> Object:
    own = vm_snapshot.content_name(snapshot)
    content = cluster.get(VM_SNAPSHOT_CONTENT, f"{namespace(snapshot)}/{own}")
    if content is None:
        text = f"snapshot content {own} in namespace {namespace(snapshot)} does not exist"
        raise CloneError("SnapshotContentInvalid", text)
    return content


async def restore_of(cluster: Cluster, clone: Object) -> Object | None:
    """The restore to the new VM, None while it is only just being made."""
    where, status = namespace(clone), clone["status"]
    if status.get("restoreName"):
        return cluster.get(VM_RESTORE, f"{where}/{status['restoreName']}")
    source = clone["spec"]["source"]
    snapshot_name = source["name"] if source["kind"] == VM_SNAPSHOT.name else status["snapshotName"]
    snapshot = cluster.get(VM_SNAPSHOT, f"{where}/{snapshot_name}")
    if snapshot is None:
        raise CloneError("SnapshotDeleted", f"snapshot {snapshot_name} does not exist anymore")
    machine = _content(cluster, snapshot)["spec"]["source"]["virtualMachine"]
    spec: Object = {
        "target": dict(clone["spec"]["target"]), "virtualMachineSnapshotName": snapshot_name,
        "patches": patches(machine, clone["spec"]), "targetReadinessPolicy": "WaitGracePeriod",
    }
    if policy := clone["spec"].get("volumeNamePolicy"):
        spec["volumeRestorePolicy"] = policy
    own = f"tmp-restore-{uid(clone)}"
    body = {
        "metadata": {"name": own, "namespace": where, "ownerReferences": [owner_reference(clone, VM_CLONE)]},
        "spec": spec,
    }
    if await _make(cluster, clone, VM_RESTORE, body):
        event(cluster, clone, "RestoreCreated", f"created restore {own} for clone {name(clone)}")
    status["restoreName"] = own
    return None


async def _make(cluster: Cluster, clone: Object, kind: Kind, body: Object) -> bool:
    """Create a temporary object; False when it is there already. Raises PendingError when the API refuses it."""
    try:
        await cluster.create(kind, body)
    except ConflictError:
        return False
    except UnavailableError:
        raise
    except ApiError as error:
        text = f"failed creating {body['metadata']['name']} for clone {name(clone)}: {error.message}"
        raise PendingError("RestoreCreationFailed", text) from error
    return True


async def clean_up(cluster: Cluster, clone: Object) -> None:
    """Remove the temporary objects once every claim of the new VM is bound."""
    where, status = namespace(clone), clone["status"]
    restore_name = status.get("restoreName")
    if not restore_name:
        return
    restore = cluster.get(VM_RESTORE, f"{where}/{restore_name}")
    for entry in dig(restore, "status", "restores", default=[]):
        claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{where}/{entry['persistentVolumeClaim']}")
        if claim is None or phase(claim) != "Bound":
            return
    event(cluster, clone, "PVCBound", f"all PVC for clone {name(clone)} are bound")
    if restore is not None:
        await cluster.delete(VM_RESTORE, restore)
    if own := status.get("snapshotName"):
        snapshot = cluster.get(VM_SNAPSHOT, f"{where}/{own}")
        if snapshot is not None:
            await cluster.delete(VM_SNAPSHOT, snapshot)
    status.pop("restoreName", None)
    status.pop("snapshotName", None)


def event(cluster: Cluster, clone: Object, reason: str, message: str) -> None:
    cluster.event(VM_CLONE, clone, "Normal", reason, message, COMPONENT)
