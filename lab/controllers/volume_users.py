"""Who uses a claim's volume now: nobody, a guest that runs, or something a copy has to wait for."""

from __future__ import annotations

from dataclasses import dataclass

from lab.client import Object
from lab.controllers import claims, vm_status
from lab.kinds import MIGRATION, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import controlled_by, deleting, dig, final, key, name, namespace, phase


@dataclass(frozen=True, slots=True)
class Use:
    """How a claim's volume is used."""

    instance: Object | None = None
    """The one VMI whose guest has the volume open."""
    volume: str = ""
    """That VMI's name of the volume."""
    problem: str = ""
    """Why the volume can be copied neither at rest nor by its guest's QEMU, for now."""

    @property
    def at_rest(self) -> bool:
        return self.instance is None and not self.problem


def of_claim(cluster: Cluster, claim: Object) -> Use:
    """The use of a claim's volume at this moment."""
    where = namespace(claim)
    instances = [
        instance for instance in cluster.list(VIRTUAL_MACHINE_INSTANCE, where)
        if not final(instance) and volume_of(instance, name(claim))
    ]
    others = [
        pod for pod in cluster.list(POD, where)
        if not final(pod) and name(claim) in claims.claim_names(pod)
        and not any(controlled_by(pod, instance) for instance in instances)
    ]
    if others:
        return Use(problem=f"pod {key(others[0])} uses the volume")
    if len(instances) > 1:
        return Use(problem=f"several guests use the volume: {', '.join(key(item) for item in instances)}")
    if not instances:
        return Use()
    return _by_guest(cluster, instances[0], name(claim))


def _by_guest(cluster: Cluster, instance: Object, claim_name: str) -> Use:
    if migrating(cluster, instance):
        return Use(problem=f"guest {key(instance)} uses the volume and is migrating")
    if phase(instance) != "Running" or deleting(instance):
        state = "ending" if deleting(instance) else phase(instance) or "Pending"
        return Use(problem=f"guest {key(instance)} uses the volume and is {state}")
    return Use(instance, volume_of(instance, claim_name))


def volume_of(instance: Object, claim_name: str) -> str:
    """A VMI's name of the volume behind a claim; empty when it does not use the claim."""
    for volume in dig(instance, "spec", "volumes", default=[]):
        if claim_name in (dig(volume, "persistentVolumeClaim", "claimName"), dig(volume, "dataVolume", "name")):
            return str(volume["name"])
    return ""


def migrating(cluster: Cluster, instance: Object) -> bool:
    """Whether the VMI migrates, or is about to."""
    asked = any(
        dig(item, "spec", "vmiName") == name(instance) and not final(item)
        for item in cluster.list(MIGRATION, namespace(instance))
    )
    return asked or vm_status.migrating(instance)
