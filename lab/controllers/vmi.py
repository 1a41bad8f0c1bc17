"""The VMI controller: makes the launcher pod, hands the VMI to its node, and keeps what is derived from the pods."""

from __future__ import annotations

from collections.abc import Iterable

from lab.client import ApiError, Object
from lab.controllers import addresses, kubevirt, vmi_status
from lab.controllers.instances import current_pod, launcher_pods, pod_started
from lab.controllers.launcher import OVERHEAD_BYTES, claim_of_volume, guest_memory, launcher_pod
from lab.controllers.runtime import Controller, itself
from lab.kinds import PERSISTENT_VOLUME_CLAIM, POD, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    annotations_of,
    clone,
    condition,
    deleting,
    dig,
    drop_finalizer,
    final,
    finalizers,
    key,
    labels,
    name,
    namespace,
    node_name,
    phase,
    remove_condition,
    set_condition,
    set_phase,
    uid,
)
from lab.machinery.quantity import mebibytes

GONE_GRACE_SECONDS = 5.0
"""How long a node may take to report a guest's end after its pod has finished."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bring one VMI on: Pending, Scheduling, Scheduled, then only what depends on its pods."""
    vmi = cluster.peek(VIRTUAL_MACHINE_INSTANCE, where)
    if vmi is None:
        return None
    pods = launcher_pods(cluster, vmi)
    wished = clone(vmi)
    again = None
    if deleting(vmi) and await _finish_deletion(cluster, vmi, pods):
        return None
    if not phase(vmi):
        add_finalizer(wished, kubevirt.VMI_FINALIZER)
        set_phase(wished, "Pending")
    elif phase(vmi) == "Pending" and not pods and not deleting(vmi):
        created = await _create_pod(cluster, wished)
        pods = [created] if created else []
        again = None if created else 5.0
    pod = current_pod(vmi, pods)
    again = _advance(wished, pod) or again
    vmi_status.derive(wished, pod, pods)
    await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)
    if pod is not None:
        await _mark_pod(cluster, wished, pod)
    return again


async def _finish_deletion(cluster: Cluster, vmi: Object, pods: list[Object]) -> bool:
    """Delete the pods of a VMI that is being deleted; returns whether the VMI was let go."""
    for pod in pods:
        if not deleting(pod):
            await cluster.delete(POD, pod)
            _tell(cluster, vmi, "Normal", "SuccessfulDelete", f"Deleted virtual machine pod {name(pod)}")
    if pods or not final(vmi) or kubevirt.VMI_FINALIZER not in finalizers(vmi):
        return False
    wished = clone(vmi)
    drop_finalizer(wished, kubevirt.VMI_FINALIZER)
    owner = dig(vmi, "metadata", "ownerReferences", 0, "kind")
    if owner != VIRTUAL_MACHINE.name or cluster.get(VIRTUAL_MACHINE, key(vmi)) is None:
        drop_finalizer(wished, kubevirt.VM_FINALIZER)
    await cluster.update(VIRTUAL_MACHINE_INSTANCE, vmi, wished)
    return True


async def _create_pod(cluster: Cluster, vmi: Object) -> Object | None:
    missing = _missing_claim(cluster, vmi)
    if missing:
        message = f"PVC {namespace(vmi)}/{missing} does not exist, waiting for it to appear"
        if set_condition(vmi, "Synchronized", "False", "FailedPvcNotFound", message):
            _tell(cluster, vmi, "Warning", "FailedPvcNotFound", message)
        return None
    try:
        address = _address(cluster, vmi)
        seconds = cluster.config.toleration_seconds
        pod = await cluster.create(POD, launcher_pod(vmi, address, addresses.mac(vmi), toleration_seconds=seconds))
    except (addresses.AddressError, ApiError) as error:
        message = f"Error creating pod: {error}"
        if set_condition(vmi, "Synchronized", "False", "FailedCreate", message):
            _tell(cluster, vmi, "Warning", "FailedCreate", message)
        return None
    remove_condition(vmi, "Synchronized")
    _tell(cluster, vmi, "Normal", "SuccessfulCreate", f"Created virtual machine pod {name(pod)}")
    return pod


def _missing_claim(cluster: Cluster, vmi: Object) -> str:
    wanted = filter(None, (claim_of_volume(volume) for volume in vmi["spec"].get("volumes") or []))
    absent = (claim for claim in wanted if cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(vmi)}/{claim}") is None)
    return next(absent, "")


def _address(cluster: Cluster, vmi: Object) -> str:
    taken = addresses.in_use(cluster.list(POD), uid(vmi), kubevirt.CREATED_BY)
    reserved = set()
    for machine in cluster.list(VIRTUAL_MACHINE):
        template = dig(machine, "spec", "template", default={})
        try:
            reserved.add(addresses.requested({"metadata": template.get("metadata") or {}}) or "")
        except addresses.AddressError:
            continue
    return addresses.choose(vmi, taken, reserved)


def _advance(vmi: Object, pod: Object | None) -> float | None:
    """Move the phase on as far as the pod allows; seconds to look again when a deadline runs."""
    current = phase(vmi)
    if current in ("", "Succeeded", "Failed"):
        return None
    if current == "Pending":
        if pod is not None:
            set_phase(vmi, "Scheduling")
            _note_memory(vmi)
        elif deleting(vmi):
            set_phase(vmi, "Failed")
        return None
    if pod is None:
        set_phase(vmi, "Failed")
        return None
    if current == "Scheduling":
        _schedule(vmi, pod)
        return None
    return _outlive(vmi, pod)


def _schedule(vmi: Object, pod: Object) -> None:
    if final(pod) or (deleting(pod) and not node_name(pod)) or (deleting(vmi) and not pod_started(pod)):
        set_phase(vmi, "Failed")
    elif pod_started(pod):
        set_phase(vmi, "Scheduled")
        vmi["status"].update(nodeName=node_name(pod), migrationTransport="Unix")
        vmi["status"].setdefault("interfaces", [{"name": "default", "podInterfaceName": "eth0"}])
        vmi["metadata"].setdefault("labels", {})[kubevirt.NODE_LABEL] = node_name(pod)


def _outlive(vmi: Object, pod: Object) -> float | None:
    """A finished pod under a VMI that still counts as running: its node has a while to tell, then its phase counts."""
    if not final(pod):
        return None
    left = GONE_GRACE_SECONDS - vmi_status.finished_seconds(pod)
    if left > 0:
        return left
    set_phase(vmi, phase(pod))
    return None


def _note_memory(vmi: Object) -> None:
    guest = mebibytes(guest_memory(vmi))
    vmi["status"].setdefault("memory", {
        "guestAtBoot": guest, "guestCurrent": guest, "guestRequested": guest,
        "memoryOverhead": f"{OVERHEAD_BYTES // 2**20}Mi",
    })


async def _mark_pod(cluster: Cluster, vmi: Object, pod: Object) -> None:
    """Keep the readiness gate and the node label of the pod that runs the guest."""
    latest = cluster.peek(POD, key(pod))
    if latest is None or final(latest):
        return
    wished = clone(latest)
    paused = condition(vmi, "Paused")
    if paused and paused["status"] == "True":
        set_condition(wished, kubevirt.UNPAUSED, "False", "Paused", "the virtual machine is paused")
    else:
        set_condition(wished, kubevirt.UNPAUSED, "True", "NotPaused", "the virtual machine is not paused")
    node = labels(vmi).get(kubevirt.NODE_LABEL)
    if node:
        wished["metadata"].setdefault("labels", {})[kubevirt.NODE_LABEL] = node
        _mark_arrival(vmi, wished)
    await cluster.update(POD, latest, wished)


def _mark_arrival(vmi: Object, pod: Object) -> None:
    """The annotation by which a network moves an address to the pod of an arrived guest."""
    arrived = kubevirt.MIGRATION_NAME in annotations_of(pod)
    if arrived and dig(vmi, "status", "migrationState", "targetPod") == name(pod):
        ready = dig(vmi, "status", "migrationState", "targetNodeDomainReadyTimestamp", default="")
        text = ready.replace("T", " ").replace("Z", " +0000 UTC")
        pod["metadata"]["annotations"].setdefault("kubevirt.io/migration-target-ready-timestamp", text)


def _tell(cluster: Cluster, vmi: Object, type_: str, reason: str, message: str) -> None:
    cluster.event(VIRTUAL_MACHINE_INSTANCE, vmi, type_, reason, message)


def _vmi_of_pod(_: Cluster, pod: Object) -> Iterable[str]:
    owners = pod["metadata"].get("ownerReferences") or []
    return [f"{namespace(pod)}/{owner['name']}" for owner in owners if owner["kind"] == VIRTUAL_MACHINE_INSTANCE.name]


def _waiting_vmis(cluster: Cluster, claim: Object) -> Iterable[str]:
    return [key(vmi) for vmi in cluster.list(VIRTUAL_MACHINE_INSTANCE, namespace(claim)) if phase(vmi) == "Pending"]


CONTROLLER = Controller(
    "vmi", reconcile,
    ((VIRTUAL_MACHINE_INSTANCE, itself), (POD, _vmi_of_pod), (PERSISTENT_VOLUME_CLAIM, _waiting_vmis)),
)
