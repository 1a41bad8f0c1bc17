"""The part of a VMI's status that follows from its pods."""

from __future__ import annotations

from lab.client import Object
from lab.controllers import kubevirt
from lab.controllers.instances import pull_problem
from lab.machinery.objects import (
    age,
    condition,
    deleting,
    dig,
    final,
    node_name,
    phase,
    remove_condition,
    set_condition,
    uid,
)


def derive(vmi: Object, pod: Object | None, pods: list[Object]) -> None:
    """Bring conditions, active pods and pod facts of the VMI up to date, in place."""
    if not phase(vmi) or phase(vmi) == "Pending":
        return
    _ready(vmi, pod)
    _eviction(vmi)
    _unscheduled(vmi, pod)
    _pull(vmi, pod)
    status = vmi["status"]
    status["activePods"] = {uid(entry): node_name(entry) for entry in pods if not final(entry) or deleting(entry)}
    if not status["activePods"]:
        status.pop("activePods")
    if pod is not None:
        status["qosClass"] = dig(pod, "status", "qosClass", default="Burstable")
        status["launcherContainerImageVersion"] = kubevirt.LAUNCHER_IMAGE


def _ready(vmi: Object, pod: Object | None) -> None:
    if pod is None:
        set_condition(vmi, "Ready", "False", "PodNotExists", "virt-launcher pod has not yet been scheduled")
    elif deleting(pod):
        set_condition(vmi, "Ready", "False", "PodTerminating", "virt-launcher pod is terminating")
    elif phase(vmi) != "Running":
        set_condition(vmi, "Ready", "False", "GuestNotRunning", "Guest VM is not reported as running")
    else:
        ready = condition(pod, "Ready")
        if ready is None:
            message = "virt-launcher pod is missing the Ready condition"
            set_condition(vmi, "Ready", "False", "PodConditionMissing", message)
        else:
            set_condition(vmi, "Ready", ready["status"], ready.get("reason") or "", ready.get("message") or "")


def _eviction(vmi: Object) -> None:
    if dig(vmi, "status", "evacuationNodeName"):
        set_condition(vmi, "EvictionRequested", "True", "EvictionRequested", "VMI is marked for eviction")
    else:
        remove_condition(vmi, "EvictionRequested")


def _unscheduled(vmi: Object, pod: Object | None) -> None:
    scheduled = condition(pod, "PodScheduled") if pod is not None else None
    if scheduled and scheduled["status"] == "False" and phase(vmi) == "Scheduling":
        reason, message = scheduled.get("reason") or "", scheduled.get("message") or ""
        set_condition(vmi, "PodScheduled", "False", reason, message)
    else:
        remove_condition(vmi, "PodScheduled")


def _pull(vmi: Object, pod: Object | None) -> None:
    problem = pull_problem(pod) if pod is not None else None
    known = condition(vmi, "Synchronized")
    if problem and phase(vmi) == "Scheduling":
        set_condition(vmi, "Synchronized", "False", *problem)
    elif known and (known.get("reason") or "") in ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"):
        remove_condition(vmi, "Synchronized")


def finished_seconds(pod: Object) -> float:
    """Seconds since the containers of a finished pod ended, by their own word or by the Ready condition's."""
    statuses = dig(pod, "status", "containerStatuses", default=[])
    ends = [dig(entry, "state", "terminated", "finishedAt") for entry in statuses]
    ends.append((condition(pod, "Ready") or {}).get("lastTransitionTime"))
    return min((age(end) for end in ends if end), default=0.0)
