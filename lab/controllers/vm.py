"""The VM controller: starts and stops the instance as the run strategy and the requests say."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from lab.client import ApiError, ConflictError, Object
from lab.controllers import kubevirt, vm_status
from lab.controllers.machines import TEMPLATE_HASH, run_strategy, template_hash
from lab.controllers.runtime import Controller, itself
from lab.kinds import PERSISTENT_VOLUME_CLAIM, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, VOLUME_SNAPSHOT_CLASS
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    add_finalizer,
    clone,
    controlled_by,
    deleting,
    dig,
    drop_finalizer,
    final,
    finalizers,
    key,
    name,
    namespace,
    owner_reference,
    phase,
    set_condition,
    uid,
)

GENERATION = "kubevirt.io/vm-generation"
_FIRMWARE_NAMESPACE = uuid.UUID("6a1a24a1-4061-4607-8bf4-a3963d0c5895")
"""KubeVirt derives a firmware uuid from the VM's name in this namespace, so it outlives restarts."""


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Bring one VM to its run strategy and report its status."""
    machine = cluster.peek(VIRTUAL_MACHINE, where)
    if machine is None:
        return None
    instance = cluster.peek(VIRTUAL_MACHINE_INSTANCE, where)
    if instance is not None and not controlled_by(instance, machine):
        instance = None
    wished = clone(machine)
    if deleting(machine):
        await _let_go(cluster, wished, instance)
        again = None
    else:
        add_finalizer(wished, kubevirt.VM_FINALIZER)
        again = await _follow_strategy(cluster, wished, instance)
    instance = cluster.peek(VIRTUAL_MACHINE_INSTANCE, where)
    if instance is not None and not controlled_by(instance, machine):
        instance = None
    if instance is not None and final(instance):
        await _release(cluster, instance)
    vm_status.derive(cluster, wished, instance)
    again = _smaller(again, vm_status.note_start_failure(wished, instance))
    await cluster.update(VIRTUAL_MACHINE, machine, wished)
    return again


def _smaller(first: float | None, second: float | None) -> float | None:
    known = [value for value in (first, second) if value is not None]
    return min(known) if known else None


async def _let_go(cluster: Cluster, machine: Object, instance: Object | None) -> None:
    if instance is not None:
        await _stop(cluster, machine, instance)
    else:
        drop_finalizer(machine, kubevirt.VM_FINALIZER)


async def _follow_strategy(cluster: Cluster, machine: Object, instance: Object | None) -> float | None:
    """Start, stop or leave the instance; seconds until a delayed start is due."""
    strategy = run_strategy(machine)
    _forget_done_requests(machine, instance)
    if instance is not None:
        if _must_stop(strategy, machine, instance):
            await _stop(cluster, machine, instance)
        return None
    if strategy in ("Halted", "WaitAsReceiver"):
        return None
    if strategy == "Manual" and not _requested(machine, "Start"):
        return None
    wait = vm_status.start_delay(machine)
    if wait > 0:
        return wait
    await _start(cluster, machine)
    return None


def _must_stop(strategy: str, machine: Object, instance: Object) -> bool:
    if strategy == "Halted":
        return True
    asked = _requested(machine, "Stop")
    if asked and asked.get("uid") in (None, "", uid(instance)):
        return True
    if strategy == "Always" or _requested(machine, "Start"):
        return final(instance)
    return strategy == "RerunOnFailure" and phase(instance) == "Failed"


def _requested(machine: Object, action: str) -> Object | None:
    requests = dig(machine, "status", "stateChangeRequests", default=[])
    return next((request for request in requests if request["action"] == action), None)


def _forget_done_requests(machine: Object, instance: Object | None) -> None:
    """A stop is done once that instance is gone; a start once an instance is there that no stop concerns."""
    requests = dig(machine, "status", "stateChangeRequests", default=[])
    present = uid(instance) if instance is not None else ""
    stops = [
        entry for entry in requests
        if entry["action"] == "Stop" and present and entry.get("uid") in (None, "", present)
    ]
    startable = instance is None or bool(stops) or final(instance)
    starts = [entry for entry in requests if entry["action"] == "Start" and startable]
    left = [*stops, *starts]
    if left:
        machine["status"]["stateChangeRequests"] = left
    elif requests:
        del machine["status"]["stateChangeRequests"]


async def _stop(cluster: Cluster, machine: Object, instance: Object) -> None:
    if deleting(instance):
        return
    await cluster.delete(VIRTUAL_MACHINE_INSTANCE, instance)
    message = f"Stopped the virtual machine by deleting the virtual machine instance {uid(instance)}"
    cluster.event(VIRTUAL_MACHINE, machine, "Normal", "SuccessfulDelete", message)


async def _release(cluster: Cluster, instance: Object) -> None:
    """Give up the VM controller's hold on a finished instance."""
    if deleting(instance) and kubevirt.VM_FINALIZER in finalizers(instance):
        wished = clone(instance)
        drop_finalizer(wished, kubevirt.VM_FINALIZER)
        await cluster.update(VIRTUAL_MACHINE_INSTANCE, instance, wished)


async def _start(cluster: Cluster, machine: Object) -> None:
    try:
        created = await cluster.create(VIRTUAL_MACHINE_INSTANCE, new_instance(machine))
    except ConflictError:
        raise
    except ApiError as error:
        message = f"Error creating virtual machine instance: {error.message}"
        if set_condition(machine, "Failure", "True", "FailedCreate", message):
            cluster.event(VIRTUAL_MACHINE, machine, "Warning", "FailedCreate", message)
        return
    _forget_done_requests(machine, created)
    message = f"Started the virtual machine by creating the new virtual machine instance {name(created)}"
    cluster.event(VIRTUAL_MACHINE, machine, "Normal", "SuccessfulCreate", message)


def new_instance(machine: Object) -> Object:
    """The instance for a VM: its template, with the VM as owner and the firmware's stable uuid."""
    template = clone(machine["spec"]["template"])
    meta = template.get("metadata") or {}
    spec = template["spec"]
    firmware = spec["domain"].setdefault("firmware", {})
    firmware.setdefault("uuid", str(uuid.uuid5(_FIRMWARE_NAMESPACE, name(machine))))
    start = _requested(machine, "Start")
    if start and dig(start, "data", "paused") == "true":
        spec["startStrategy"] = "Paused"
    marks = {
        **(meta.get("annotations") or {}), GENERATION: str(machine["metadata"].get("generation", 1)),
        TEMPLATE_HASH: template_hash(machine),
    }
    return {
        "metadata": {
            "name": name(machine), "namespace": namespace(machine), "labels": dict(meta.get("labels") or {}),
            "annotations": marks, "finalizers": [kubevirt.VM_FINALIZER, kubevirt.VMI_FINALIZER],
            "ownerReferences": [owner_reference(machine, VIRTUAL_MACHINE)],
        },
        "spec": spec,
    }


def _mounting(cluster: Cluster, claim: Object) -> Iterable[str]:
    return [key(machine) for machine in cluster.list(VIRTUAL_MACHINE, namespace(claim))]


def _every(cluster: Cluster, _: Object) -> Iterable[str]:
    return [key(machine) for machine in cluster.list(VIRTUAL_MACHINE)]


CONTROLLER = Controller(
    "vm", reconcile,
    ((VIRTUAL_MACHINE, itself), (VIRTUAL_MACHINE_INSTANCE, itself), (PERSISTENT_VOLUME_CLAIM, _mounting),
     (VOLUME_SNAPSHOT_CLASS, _every)),
)
