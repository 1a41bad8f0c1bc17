"""What a restore is made from, and how what it makes is called."""

from __future__ import annotations

import hashlib

from lab.client import Object
from lab.controllers import vm_snapshot
from lab.kinds import VM_SNAPSHOT, VM_SNAPSHOT_CONTENT
from lab.machinery.cluster import Cluster
from lab.machinery.objects import dig, name, namespace, phase, uid

LONGEST_NAME = 63


class RestoreError(Exception):
    """The restore cannot go on now; the message says why, in KubeVirt's words where it has some."""


def snapshot_of(cluster: Cluster, restore: Object) -> tuple[Object, Object]:
    """The ready snapshot and its ready content; raises RestoreError."""
    where = f"{namespace(restore)}/{restore['spec']['virtualMachineSnapshotName']}"
    snapshot = cluster.get(VM_SNAPSHOT, where)
    if snapshot is None:
        raise RestoreError(f"VMSnapshot {where} does not exist")
    if phase(snapshot) == "Failed":
        raise RestoreError(f"VMSnapshot {where} failed and is invalid to use")
    if not vm_snapshot.ready(snapshot):
        raise RestoreError(f"VMSnapshot {where} not ready")
    content_key = f"{namespace(restore)}/{vm_snapshot.content_name(snapshot)}"
    content = cluster.get(VM_SNAPSHOT_CONTENT, content_key)
    if content is None:
        raise RestoreError(f"VMSnapshotContent {content_key} does not exist")
    if not dig(content, "status", "readyToUse"):
        raise RestoreError(f"VMSnapshotContent {content_key} not ready")
    return snapshot, content


def claim_name(restore: Object, volume: str, original: str) -> str:
    """The restored claim's name: an override's, or what spec.volumeRestorePolicy makes of it."""
    for override in restore["spec"].get("volumeRestoreOverrides") or []:
        if override.get("volumeName") == volume and override.get("restoreName"):
            return str(override["restoreName"])
    policy = restore["spec"].get("volumeRestorePolicy")
    if policy == "InPlace":
        return original
    if policy == "PrefixTargetName":
        return _short(f"{restore['spec']['target']['name']}-{volume}")
    return f"restore-{uid(restore)}-{volume}"


def _short(text: str) -> str:
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[:LONGEST_NAME - 9]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def last_restore(restore: Object) -> str:
    """What marks an object as made, or changed, by this restore."""
    return f"{name(restore)}-{uid(restore)}"
