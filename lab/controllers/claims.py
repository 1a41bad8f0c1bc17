"""The claims of a pod: bound, waiting for a node, or missing."""

from __future__ import annotations

from dataclasses import dataclass

from lab.client import Object
from lab.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from lab.machinery.cluster import Cluster
from lab.machinery.objects import annotations_of, dig, name, namespace, phase

SELECTED_NODE = "volume.kubernetes.io/selected-node"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Claims:
    """What the claims of one pod mean for its placement."""

    volumes: tuple[Object, ...] = ()
    waiting: tuple[Object, ...] = ()
    """Unbound claims whose class waits for the first consumer's node."""
    problem: str = ""
    """Why the pod cannot be placed at all, in the scheduler's words."""


def claim_names(pod: Object) -> list[str]:
    """The names of the claims that a pod mounts."""
    volumes = dig(pod, "spec", "volumes", default=[])
    found = (dig(volume, "persistentVolumeClaim", "claimName") for volume in volumes)
    return [claim for claim in found if claim]


def storage_class(cluster: Cluster, claim: Object) -> Object | None:
    """The claim's class, or the default one when the claim names none."""
    wanted = dig(claim, "spec", "storageClassName")
    if wanted is not None:
        return cluster.get(STORAGE_CLASS, wanted) if wanted else None
    marked = [item for item in cluster.list(STORAGE_CLASS) if annotations_of(item).get(DEFAULT_CLASS) == "true"]
    return min(marked, key=name) if marked else None


def waits_for_consumer(cluster: Cluster, claim: Object) -> bool:
    found = storage_class(cluster, claim)
    return bool(found and found.get("volumeBindingMode") == "WaitForFirstConsumer")


def of_pod(cluster: Cluster, pod: Object) -> Claims:
    volumes, waiting = [], []
    for claim_name in claim_names(pod):
        claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(pod)}/{claim_name}")
        if claim is None:
            return Claims(problem=f'persistentvolumeclaim "{claim_name}" not found')
        if phase(claim) == "Bound":
            volume = cluster.get(PERSISTENT_VOLUME, claim["spec"]["volumeName"])
            if volume:
                volumes.append(volume)
        elif waits_for_consumer(cluster, claim):
            waiting.append(claim)
        else:
            return Claims(problem="pod has unbound immediate PersistentVolumeClaims")
    return Claims(tuple(volumes), tuple(waiting))


def selected_node(cluster: Cluster, pod: Object) -> str:
    """The node that was chosen for a claim of a pod that is not bound yet; empty when none was."""
    for claim_name in claim_names(pod):
        claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(pod)}/{claim_name}")
        if claim is not None and SELECTED_NODE in annotations_of(claim):
            return str(annotations_of(claim)[SELECTED_NODE])
    return ""
