"""A cluster in memory with a VM on a shared disk, its snapshot controllers, and a node that makes copies."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

from lab import storage
from lab.client import NotFoundError, Object, UnavailableError
from lab.config import LabConfig
from lab.controllers import (
    vm_clone,
    vm_restore,
    vm_snapshot,
    vm_snapshot_content,
    volume_snapshot_contents,
    volume_snapshots,
    volumes,
)
from lab.controllers.runtime import Reconcile
from lab.kinds import (
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    STORAGE_CLASS,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_INSTANCE,
    VM_CLONE,
    VM_RESTORE,
    VM_SNAPSHOT,
    VM_SNAPSHOT_CONTENT,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CONTENT,
    Kind,
)
from lab.lifecycle import snapshot_classes
from lab.machinery.objects import key
from tests.unit.lab.controllers_fake import FakeApi, cluster_of

SIZE = 1 << 20


class SnapshotApi(FakeApi):
    """The API with a node behind it; `copies` are QEMU's jobs by identity, `guest_calls` what the node was asked."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.state_dir = str(folder)
        self.copies: dict[str, Object] = {}
        self.guest_calls: list[tuple[str, str]] = []
        self.refusal = ""
        """What the node answers to the beginning of a copy."""
        self._uids = itertools.count(1)
        for body in storage.storage_classes(LabConfig()):
            self.given(STORAGE_CLASS, body)
        for kind, body in snapshot_classes.objects(LabConfig()):
            self.given(kind, body)

    def given(self, kind: Kind, item: Object) -> Object:
        meta = {**item["metadata"]}
        meta.setdefault("uid", f"{kind.name.lower()}-{next(self._uids)}")
        return super().given(kind, {**item, "metadata": meta})

    async def guest(self, method: str, namespace: str, name: str, call: str, body: Object | None = None) -> Object:
        self.guest_calls.append((method, call.split("/")[0]))
        instance = self.there(VIRTUAL_MACHINE_INSTANCE, f"{namespace}/{name}")
        if call == "freeze":
            instance["status"]["fsFreezeStatus"] = "frozen"
        elif call == "unfreeze":
            instance["status"].pop("fsFreezeStatus", None)
        else:
            return self._copy(method, call.split("/")[1], body)
        return {}

    def _copy(self, method: str, identity: str, body: Object | None) -> Object:
        if method == "PUT":
            if self.refusal:
                raise UnavailableError(500, "InternalError", self.refusal)
            assert body is not None
            self.copies.setdefault(identity, {"status": "running", **body})
            return {}
        if identity not in self.copies:
            raise NotFoundError(404, "NotFound", "no such copy")
        return self.copies.pop(identity) if method == "DELETE" else self.copies[identity]

    async def machine(self, namespace: str, name: str, call: str) -> None:
        assert call == "stop"
        self.there(VIRTUAL_MACHINE, f"{namespace}/{name}")["spec"]["runStrategy"] = "Halted"


class World:
    """The controllers of snapshots, restores and clones over one API, stepped by hand."""

    def __init__(self, folder: Path) -> None:
        self.api = SnapshotApi(folder)
        self.copies = volume_snapshot_contents.Copies()

    def settle(self, rounds: int = 12) -> None:
        """Let every controller look at each of its objects, several times."""
        asyncio.run(self._settle(rounds))

    async def _settle(self, rounds: int) -> None:
        work: tuple[tuple[Kind, Reconcile], ...] = (
            (VM_CLONE, vm_clone.reconcile), (VM_SNAPSHOT, vm_snapshot.reconcile),
            (VM_SNAPSHOT_CONTENT, vm_snapshot_content.reconcile), (VOLUME_SNAPSHOT, volume_snapshots.reconcile),
            (VOLUME_SNAPSHOT_CONTENT, self.copies.reconcile), (VM_RESTORE, vm_restore.reconcile),
            (PERSISTENT_VOLUME_CLAIM, volumes.reconcile_claim),
        )
        for _ in range(rounds):
            for kind, reconcile in work:
                for item in list(self.api.all(kind)):
                    await reconcile(cluster_of(self.api), key(item))
            self._collect()

    def _collect(self) -> None:
        """What the garbage collector does: volume snapshots go with their owners."""
        for item in list(self.api.all(VOLUME_SNAPSHOT)):
            owners = item["metadata"].get("ownerReferences") or []
            if owners and not any(("VirtualMachineSnapshotContent", f"demo/{entry['name']}") in self.api.objects
                                  for entry in owners):
                item["metadata"].setdefault("deletionTimestamp", "2026-01-01T00:00:00Z")

    def disk(self, claim: str) -> Path:
        volume = self.api.there(PERSISTENT_VOLUME_CLAIM, f"demo/{claim}")["spec"]["volumeName"]
        return Path(self.api.there(PERSISTENT_VOLUME, volume)["spec"]["hostPath"]["path"])

    def machine(self, volume_mode: str = "Filesystem", **interface: Any) -> Object:
        """A halted VM `vm` with its disk `data`, which holds the word `old`."""
        self.api.given(PERSISTENT_VOLUME_CLAIM, {
            "metadata": {"name": "data"}, "status": {"phase": "Pending"},
            "spec": {"storageClassName": "lab-shared", "accessModes": ["ReadWriteMany"], "volumeMode": volume_mode,
                     "resources": {"requests": {"storage": str(SIZE)}}},
        })
        self.settle(1)
        write(self.disk("data"), b"old")
        devices = {"interfaces": [{"name": "default", "bridge": {}, **interface}]}
        template = {
            "metadata": {"labels": {"app": "x"}, "annotations": {"network.kubevirt.io/addresses": "[]", "kept": "yes"}},
            "spec": {
                "domain": {"devices": devices, "firmware": {"uuid": "u1", "serial": "s1"}},
                "volumes": [{"name": "root", "containerDisk": {"image": "x"}},
                            {"name": "disk", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        }
        status = {"volumeSnapshotStatuses": [{"name": "root", "enabled": False}, {"name": "disk", "enabled": True}]}
        return self.api.given(VIRTUAL_MACHINE, {
            "metadata": {"name": "vm", "labels": {"a": "1"}}, "spec": {"runStrategy": "Halted", "template": template},
            "status": status,
        })

    def run(self, *, agent: bool = True, **status: Any) -> Object:
        """The VM's guest, running."""
        conditions = [{"type": "AgentConnected", "status": "True"}] if agent else []
        spec = self.api.there(VIRTUAL_MACHINE, "demo/vm")["spec"]["template"]["spec"]
        return self.api.given(VIRTUAL_MACHINE_INSTANCE, {
            "metadata": {"name": "vm"}, "spec": spec,
            "status": {"phase": "Running", "nodeName": "node-a", "conditions": conditions, **status},
        })

    def snapshot(self, name: str = "snap", **spec: Any) -> None:
        self.api.given(VM_SNAPSHOT, {
            "metadata": {"name": name},
            "spec": {"source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"}, **spec},
        })

    def restore(self, target: str = "vm", **spec: Any) -> None:
        self.api.given(VM_RESTORE, {
            "metadata": {"name": "back"},
            "spec": {"target": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": target},
                     "virtualMachineSnapshotName": "snap", **spec},
        })

    def status(self, kind: Kind, name: str) -> Object:
        found: Object = self.api.there(kind, f"demo/{name}").get("status") or {}
        return found

    def finish_copies(self, status: str = "completed", error: str = "") -> None:
        """Let QEMU end its copies; what it has copied is the disk's content."""
        for job in self.api.copies.values():
            if status == "completed":
                write(Path(job["target"]["filename"]), b"old")
            job.update(status=status, error=error)

    def snapshot_files(self) -> list[Path]:
        return sorted(Path(self.api.state_dir, "volumes", "shared").glob("snap-*"))


def write(disk: Path, text: bytes) -> None:
    with disk.open("r+b") as file:
        file.write(text)


def word(disk: Path) -> bytes:
    with disk.open("rb") as file:
        return file.read(3)

