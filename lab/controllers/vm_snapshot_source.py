"""The VM that a VirtualMachineSnapshot is taken of: locked, frozen and thawed, and what is kept of it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import aiohttp

from lab.client import ApiError, Object
from lab.controllers import claims, volume_users
from lab.kinds import PERSISTENT_VOLUME_CLAIM, POD, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    condition,
    condition_true,
    deleting,
    dig,
    drop_finalizer,
    final,
    finalizers,
    key,
    name,
    namespace,
    phase,
)

PROTECTION = "snapshot.kubevirt.io/snapshot-source-protection"
DEFAULT_DEADLINE = "5m0s"
FROZEN = "frozen"


class FreezeError(Exception):
    """The guest's file systems were not frozen; the message says why."""


@dataclass(frozen=True, slots=True)
class SnapshotSource:
    """A VM and its instance, as they are now, for one snapshot."""

    machine: Object
    instance: Object | None
    snapshot: Object

    @property
    def online(self) -> bool:
        return self.instance is not None

    @property
    def paused(self) -> bool:
        return self.instance is not None and condition_true(self.instance, "Paused")

    @property
    def guest_agent(self) -> bool:
        return self.instance is not None and condition(self.instance, "AgentConnected") is not None

    @property
    def frozen(self) -> bool:
        return bool(dig(self.instance, "status", "fsFreezeStatus") == FROZEN)

    @property
    def locked(self) -> bool:
        owner: str = dig(self.machine, "status", "snapshotInProgress", default="")
        return owner == name(self.snapshot) and PROTECTION in finalizers(self.machine)

    def indications(self) -> list[str]:
        """How the snapshot is taken, in alphabetical order, as KubeVirt lists them; nothing of a VM that is off."""
        if not self.online:
            return []
        if self.paused:
            return ["Online", "Paused"]
        return ["GuestAgent", "Online"] if self.guest_agent else ["NoGuestAgent", "Online"]

    def claims(self) -> dict[str, str]:
        """The claims of the VM's volumes, by the volumes' names."""
        found: dict[str, str] = {}
        for volume in dig(self.machine, "spec", "template", "spec", "volumes", default=[]):
            claim = dig(volume, "persistentVolumeClaim", "claimName") or dig(volume, "dataVolume", "name")
            if claim:
                found[volume["name"]] = claim
        return found

    def kept(self) -> Object:
        """What the snapshot keeps of the VM itself."""
        meta = {field: value for field, value in self.machine["metadata"].items() if field != "managedFields"}
        return {"virtualMachine": copy.deepcopy({"metadata": meta, "spec": self.machine["spec"], "status": {}})}


def find(cluster: Cluster, snapshot: Object) -> SnapshotSource | None:
    """The snapshot's source; None when there is no such VM."""
    where = f"{namespace(snapshot)}/{snapshot['spec']['source']['name']}"
    machine = cluster.get(VIRTUAL_MACHINE, where)
    return SnapshotSource(machine, cluster.get(VIRTUAL_MACHINE_INSTANCE, where), snapshot) if machine else None


async def lock(cluster: Cluster, source: SnapshotSource) -> str:
    """Mark the VM as being snapshotted; returns why it cannot be yet, or nothing."""
    problem = _volume_problem(cluster, source)
    if problem:
        return problem
    other = dig(source.machine, "status", "snapshotInProgress")
    if other and other != name(source.snapshot):
        return f' snapshot "{other}" in progress'
    wished = copy.deepcopy(source.machine)
    wished.setdefault("status", {})["snapshotInProgress"] = name(source.snapshot)
    add_finalizer(wished, PROTECTION)
    await cluster.update(VIRTUAL_MACHINE, source.machine, wished)
    return ""


def _volume_problem(cluster: Cluster, source: SnapshotSource) -> str:
    where, wanted = namespace(source.machine), sorted(set(source.claims().values()))
    for claim_name in wanted:
        claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{where}/{claim_name}")
        problem = ""
        if claim is None:
            problem = "volume doesnt exist"
        elif deleting(claim):
            problem = "volume is being deleted"
        elif phase(claim) != "Bound":
            problem = "volume not bound"
        if problem:
            return f" source {key(source.machine)} {problem}: {claim_name}"
    if source.online:
        return ""
    pods = [
        pod for pod in cluster.list(POD, where) if not final(pod) and set(wanted) & set(claims.claim_names(pod))
    ]
    return f" source is offline but {len(pods)} pods using PVCs [{' '.join(wanted)}]" if pods else ""


async def unlock(cluster: Cluster, source: SnapshotSource) -> None:
    """Take this snapshot's mark off the VM."""
    if dig(source.machine, "status", "snapshotInProgress") != name(source.snapshot):
        return
    wished = copy.deepcopy(source.machine)
    drop_finalizer(wished, PROTECTION)
    del wished["status"]["snapshotInProgress"]
    await cluster.update(VIRTUAL_MACHINE, source.machine, wished)


async def freeze(cluster: Cluster, source: SnapshotSource) -> None:
    """Freeze the guest's file systems if its agent is there, at most for the snapshot's deadline.

    Raises FreezeError: also for a guest on its way to another node, whose disks cannot be copied now.
    """
    if not source.locked:
        raise FreezeError("attempting to freeze unlocked VM")
    instance = source.instance
    if instance is None or source.frozen:
        return
    if volume_users.migrating(cluster, instance):
        raise FreezeError(f"guest {key(instance)} is migrating; its snapshot waits for that to end")
    if source.paused or not source.guest_agent:
        return
    body = {"unfreezeTimeout": source.snapshot["spec"].get("failureDeadline") or DEFAULT_DEADLINE}
    try:
        await cluster.client.guest("PUT", namespace(instance), name(instance), "freeze", body)
    except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise FreezeError(f"Failed freezing vm {key(instance)}: {error}") from error


async def thaw(cluster: Cluster, source: SnapshotSource) -> None:
    """Thaw the guest's file systems, frozen or not. Raises ApiError, OSError or aiohttp.ClientError."""
    instance = source.instance
    if instance is None or not source.guest_agent or source.paused:
        return
    # A snapshot past its deadline may have let go of the VM before its content is looked at.
    left_frozen = source.frozen and not dig(source.machine, "status", "snapshotInProgress")
    if not source.locked and not left_frozen:
        return
    await cluster.client.guest("PUT", namespace(instance), name(instance), "unfreeze", {})
