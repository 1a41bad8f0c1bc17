"""The status of a VM: conditions copied from its instance, the printable status, and start failures."""

from __future__ import annotations

import random
from datetime import timedelta

from lab.client import Object
from lab.controllers import snapshot_support
from lab.controllers.machines import TEMPLATE_HASH, run_strategy, template_hash
from lab.kinds import PERSISTENT_VOLUME_CLAIM
from lab.machinery.cluster import Cluster
from lab.machinery.objects import (
    age,
    annotations_of,
    condition,
    condition_true,
    deleting,
    dig,
    final,
    namespace,
    now,
    phase,
    remove_condition,
    set_condition,
    stamp,
    uid,
)

BACKOFF_BASE_SECONDS = 10
BACKOFF_MAX_SECONDS = 300
BACKOFF_JITTER = 0.5
_OWN_CONDITIONS = ("Ready", "Failure", "RestartRequired")


def derive(cluster: Cluster, machine: Object, instance: Object | None) -> None:
    """Bring the VM's status up to date, in place."""
    status = machine.setdefault("status", {})
    _conditions(machine, instance)
    _restart_required(machine, instance)
    _flag(status, "created", instance is not None)
    _flag(status, "ready", condition_true(machine, "Ready"))
    generation = machine["metadata"].get("generation", 1)
    status.update(observedGeneration=generation, desiredGeneration=generation, runStrategy=run_strategy(machine))
    snapshot_support.note(cluster, machine)
    status["printableStatus"] = printable_status(machine, instance, _claim_problem(cluster, machine))


def _flag(status: Object, field: str, value: bool) -> None:
    if value:
        status[field] = True
    else:
        status.pop(field, None)


def _conditions(machine: Object, instance: Object | None) -> None:
    if instance is None:
        set_condition(machine, "Ready", "False", "VMINotExists", "VMI does not exist")
        copied = []
    else:
        copied = dig(instance, "status", "conditions", default=[])
        if condition(instance, "Ready") is None:
            message = "VMI is missing the Ready condition"
            set_condition(machine, "Ready", "False", "VMIConditionMissing", message)
        remove_condition(machine, "Failure")
    kept = [entry for entry in machine["status"].get("conditions", []) if entry["type"] in _OWN_CONDITIONS]
    replaced = {entry["type"] for entry in copied}
    machine["status"]["conditions"] = [entry for entry in kept if entry["type"] not in replaced] + list(copied)


def _restart_required(machine: Object, instance: Object | None) -> None:
    made_of = annotations_of(instance).get(TEMPLATE_HASH) if instance is not None else None
    if made_of and instance is not None and not final(instance) and made_of != template_hash(machine):
        message = "a non-live-updatable field was changed in the template spec"
        set_condition(machine, "RestartRequired", "True", "RestartRequired", message)
    else:
        remove_condition(machine, "RestartRequired")


def _claim_problem(cluster: Cluster, machine: Object) -> str:
    """`missing` or `unbound` when a claim of the template is not usable; else nothing."""
    problem = ""
    for volume in dig(machine, "spec", "template", "spec", "volumes", default=[]):
        claim = dig(volume, "persistentVolumeClaim", "claimName") or dig(volume, "dataVolume", "name")
        if not claim:
            continue
        found = cluster.get(PERSISTENT_VOLUME_CLAIM, f"{namespace(machine)}/{claim}")
        if found is None:
            return "missing"
        if phase(found) != "Bound":
            problem = "unbound"
    return problem


def printable_status(machine: Object, instance: Object | None, claim_problem: str = "") -> str:
    """The first state that holds, in the order of KubeVirt's setPrintableStatus."""
    starting = instance is not None and not final(instance) and not deleting(instance) and phase(instance) != "Running"
    synchronized = (condition(instance, "Synchronized") or {}).get("reason", "") if instance is not None else ""
    states: tuple[tuple[str, bool], ...] = (
        ("Terminating", deleting(machine)),
        ("Stopping", instance is not None and not final(instance) and deleting(instance)),
        ("Migrating", instance is not None and phase(instance) == "Running" and migrating(instance)),
        ("Paused", instance is not None and phase(instance) == "Running" and condition_true(instance, "Paused")),
        ("Running", instance is not None and phase(instance) == "Running"),
        ("ErrorPvcNotFound", starting and claim_problem == "missing"),
        ("ErrorUnschedulable", starting and _unschedulable(instance)),
        ("WaitingForVolumeBinding", starting and claim_problem == "unbound" and phase(instance or {}) != "Scheduled"),
        ("ErrImagePull", starting and synchronized in ("ErrImagePull", "ErrImageNeverPull")),
        ("ImagePullBackOff", starting and synchronized == "ImagePullBackOff"),
        ("Starting", starting or (instance is None and _start_wanted(machine) and start_delay(machine) <= 0)),
        ("CrashLoopBackOff", bool(dig(machine, "status", "startFailure")) and _start_wanted(machine)),
        ("Stopped", instance is None or final(instance)),
    )
    return next((state for state, holds in states if holds), "Unknown")


def migrating(instance: Object) -> bool:
    """Whether a migration runs: it has started and has not ended."""
    state = dig(instance, "status", "migrationState", default={})
    return bool(state.get("startTimestamp")) and not state.get("endTimestamp")


def _unschedulable(instance: Object | None) -> bool:
    found = condition(instance, "PodScheduled") if instance is not None else None
    return bool(found and found["status"] == "False" and found.get("reason") == "Unschedulable")


def _start_wanted(machine: Object) -> bool:
    requests = dig(machine, "status", "stateChangeRequests", default=[])
    asked = any(entry["action"] == "Start" for entry in requests)
    return asked or run_strategy(machine) in ("Always", "RerunOnFailure")


def start_delay(machine: Object) -> float:
    """Seconds until the VM may start again after failed starts."""
    until = dig(machine, "status", "startFailure", "retryAfterTimestamp")
    return max(-age(until), 0.0) if until else 0.0


def note_start_failure(machine: Object, instance: Object | None) -> float | None:
    """Count an instance that failed before it ever ran; forget the count once one runs. Seconds until the retry."""
    status = machine["status"]
    if instance is None:
        return start_delay(machine) or None
    ran = any(entry["phase"] == "Running" for entry in dig(instance, "status", "phaseTransitionTimestamps", default=[]))
    if ran:
        status.pop("startFailure", None)
        return None
    known = status.get("startFailure") or {}
    if not final(instance) or known.get("lastFailedVMIUID") == uid(instance):
        return None
    count = int(known.get("consecutiveFailCount", 0)) + 1
    delay = min(BACKOFF_BASE_SECONDS * count**2 * (1 + random.uniform(0, BACKOFF_JITTER)), BACKOFF_MAX_SECONDS)
    status["startFailure"] = {
        "consecutiveFailCount": count, "lastFailedVMIUID": uid(instance),
        "retryAfterTimestamp": stamp(now() + timedelta(seconds=delay)),
    }
    return delay
