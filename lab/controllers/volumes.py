"""Claims and volumes: provisions, binds, protects what is in use, and reclaims what is released."""

from __future__ import annotations

import math
from collections.abc import Iterable

from lab import storage
from lab.client import ConflictError, Object
from lab.controllers import claims, volume_sources
from lab.controllers.runtime import Controller, itself
from lab.controllers.volume_sources import Source
from lab.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from lab.machinery import quantity
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    annotations_of,
    deleting,
    dig,
    drop_finalizer,
    final,
    finalizers,
    key,
    name,
    namespace,
    phase,
    uid,
)
from lab.storage import Backend, StorageError
from lab.storage.backend import FILE_SYSTEM

COMPONENT = "persistentvolume-controller"
PROTECTION = "kubernetes.io/pvc-protection"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
RETRY_SECONDS = 2.0
"""After that long a storage that did not answer, or refused, is asked again."""


async def reconcile_claim(cluster: Cluster, where: str) -> float | None:
    """Provision and bind an unbound claim; let a deleted one go once no pod uses it."""
    claim = cluster.get(PERSISTENT_VOLUME_CLAIM, where)
    if claim is None:
        return None
    if deleting(claim):
        await _release(cluster, claim)
        return None
    if PROTECTION not in finalizers(claim):
        wished = cluster.get(PERSISTENT_VOLUME_CLAIM, where) or claim
        add_finalizer(wished, PROTECTION)
        claim = await cluster.update(PERSISTENT_VOLUME_CLAIM, claim, wished)
    if phase(claim) != "Bound":
        return await _provide(cluster, claim)
    return None


async def _release(cluster: Cluster, claim: Object) -> None:
    users = [
        pod for pod in cluster.list(POD, namespace(claim))
        if name(claim) in claims.claim_names(pod) and not final(pod)
    ]
    if not users and PROTECTION in finalizers(claim):
        wished = cluster.get(PERSISTENT_VOLUME_CLAIM, key(claim)) or claim
        drop_finalizer(wished, PROTECTION)
        await cluster.update(PERSISTENT_VOLUME_CLAIM, claim, wished)


async def _provide(cluster: Cluster, claim: Object) -> float | None:
    volume = _prepared(cluster, claim)
    if volume is None:
        try:
            volume = await _provision(cluster, claim)
        except StorageError as error:
            _failed(cluster, claim, str(error))
            return RETRY_SECONDS
    if volume is not None:
        await _bind(cluster, claim, volume)
    return None


def _prepared(cluster: Cluster, claim: Object) -> Object | None:
    """The volume that is meant for this claim already: named by the claim, or naming it."""
    wanted = dig(claim, "spec", "volumeName")
    for volume in cluster.list(PERSISTENT_VOLUME):
        reference = dig(volume, "spec", "claimRef", default={})
        mine = reference.get("namespace") == namespace(claim) and reference.get("name") == name(claim)
        if (mine and reference.get("uid") in (None, "", uid(claim))) or (wanted == name(volume) and not reference):
            return volume
    return None


async def _provision(cluster: Cluster, claim: Object) -> Object | None:
    found = claims.storage_class(cluster, claim)
    backend = storage.by_provisioner(cluster.config, found["provisioner"]) if found else None
    if found is None or backend is None:
        return None
    if refusal := backend.traits.refusal(claim["spec"]["accessModes"], _volume_mode(claim)):
        _failed(cluster, claim, refusal)
        return None
    node = annotations_of(claim).get(claims.SELECTED_NODE)
    if claims.waits_for_consumer(cluster, claim) and not node:
        message = "waiting for first consumer to be created before binding"
        cluster.event(PERSISTENT_VOLUME_CLAIM, claim, "Normal", "WaitForFirstConsumer", message, COMPONENT)
        return None
    source = volume_sources.find(cluster, claim, found)
    body = new_volume(backend, claim, found, node or "")
    await _fill(cluster, backend, body, source)
    try:
        volume = await cluster.create(PERSISTENT_VOLUME, body)
    except ConflictError:
        volume = await cluster.client.get(PERSISTENT_VOLUME, name(body))
    message = f"Successfully provisioned volume {name(volume)}"
    cluster.event(PERSISTENT_VOLUME_CLAIM, claim, "Normal", "ProvisioningSucceeded", message, COMPONENT)
    return volume


def _volume_mode(claim: Object) -> str:
    return str(dig(claim, "spec", "volumeMode", default=FILE_SYSTEM))


def _failed(cluster: Cluster, claim: Object, reason: str) -> None:
    found = claims.storage_class(cluster, claim)
    message = f'failed to provision volume with StorageClass "{name(found) if found else ""}": {reason}'
    cluster.event(PERSISTENT_VOLUME_CLAIM, claim, "Warning", "ProvisioningFailed", message, COMPONENT)


async def _fill(cluster: Cluster, backend: Backend, volume: Object, source: Source | None) -> None:
    """Make what is behind a new PersistentVolume; raises StorageError."""
    found = storage.of_volume(cluster.config, volume)
    assert found is not None
    await volume_sources.fill(cluster, backend, source, found[1], size_of(volume))


def size_of(volume: Object) -> int:
    """A PersistentVolume's capacity in bytes."""
    return math.ceil(quantity.parse(dig(volume, "spec", "capacity", "storage", default="1Gi")))


def new_volume(backend: Backend, claim: Object, storage_class: Object, node: str) -> Object:
    """The PersistentVolume for a claim, on a node for a class of one node."""
    handle = backend.handle(uid(claim), node)
    spec: Object = {
        "capacity": {"storage": dig(claim, "spec", "resources", "requests", "storage", default="1Gi")},
        "accessModes": list(claim["spec"]["accessModes"]),
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
        "storageClassName": name(storage_class), "volumeMode": _volume_mode(claim),
        "claimRef": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace(claim), "name": name(claim),
            "uid": uid(claim),
        },
    }
    spec.update(backend.reference(handle, node))
    marks = {PROVISIONED_BY: storage_class["provisioner"]}
    return {"metadata": {"name": f"pvc-{uid(claim)}", "annotations": marks}, "spec": spec,
            "status": {"phase": "Pending"}}


async def _bind(cluster: Cluster, claim: Object, volume: Object) -> None:
    wished_volume = cluster.get(PERSISTENT_VOLUME, name(volume)) or volume
    reference = wished_volume["spec"].setdefault("claimRef", {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace(claim), "name": name(claim),
    })
    reference["uid"] = uid(claim)
    wished_volume.setdefault("status", {})["phase"] = "Bound"
    await cluster.update(PERSISTENT_VOLUME, volume, wished_volume)
    wished = cluster.get(PERSISTENT_VOLUME_CLAIM, key(claim)) or claim
    wished["spec"]["volumeName"] = name(volume)
    wished["status"] = {
        **(wished.get("status") or {}), "phase": "Bound", "accessModes": volume["spec"]["accessModes"],
        "capacity": volume["spec"]["capacity"],
    }
    await cluster.update(PERSISTENT_VOLUME_CLAIM, claim, wished)


async def reconcile_volume(cluster: Cluster, where: str) -> float | None:
    """Mark a volume Released when its claim is gone; with reclaim policy Delete remove its file and itself."""
    volume = cluster.get(PERSISTENT_VOLUME, where)
    reference = dig(volume, "spec", "claimRef", default={})
    if volume is None or not reference.get("uid") or deleting(volume):
        return None
    claim = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{reference['namespace']}/{reference['name']}")
    if claim is not None and uid(claim) == reference["uid"]:
        return None
    if phase(volume) != "Released":
        wished = cluster.get(PERSISTENT_VOLUME, where) or volume
        wished.setdefault("status", {})["phase"] = "Released"
        volume = await cluster.update(PERSISTENT_VOLUME, volume, wished)
    if dig(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete" and PROVISIONED_BY in annotations_of(volume):
        found = storage.of_volume(cluster.config, volume)
        if found is not None:
            backend, handle = found
            try:
                await backend.remove(handle)
            except StorageError as error:
                cluster.event(PERSISTENT_VOLUME, volume, "Warning", "VolumeFailedDelete", str(error), COMPONENT)
                return RETRY_SECONDS
        await cluster.delete(PERSISTENT_VOLUME, volume)
    return None


def _claims_of_pod(_: Cluster, pod: Object) -> Iterable[str]:
    return [f"{namespace(pod)}/{claim}" for claim in claims.claim_names(pod)]


def _claim_of_volume(_: Cluster, volume: Object) -> Iterable[str]:
    reference = dig(volume, "spec", "claimRef", default={})
    return [f"{reference['namespace']}/{reference['name']}"] if reference else []


def _unbound_claims(cluster: Cluster, _: Object) -> Iterable[str]:
    return [key(claim) for claim in cluster.list(PERSISTENT_VOLUME_CLAIM) if phase(claim) != "Bound"]


def _volume_of_claim(_: Cluster, claim: Object) -> Iterable[str]:
    bound = dig(claim, "spec", "volumeName")
    return [bound] if bound else []


CLAIMS = Controller(
    "claims", reconcile_claim,
    ((PERSISTENT_VOLUME_CLAIM, itself), (POD, _claims_of_pod), (PERSISTENT_VOLUME, _claim_of_volume),
     (STORAGE_CLASS, _unbound_claims)),
)
VOLUMES = Controller(
    "volumes", reconcile_volume, ((PERSISTENT_VOLUME, itself), (PERSISTENT_VOLUME_CLAIM, _volume_of_claim)),
)
