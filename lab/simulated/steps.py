"""The next thing that a node does to an instance or a launcher pod: pure functions of the objects as they are."""

from __future__ import annotations

from lab.agent import pod_status, vmi_status
from lab.agent.domain_spec import read
from lab.agent.launcher import IP_ANNOTATION, MAC_ANNOTATION, Exit, is_target
from lab.agent.migration_target import FIRST_PORT
from lab.agent.vmi_status import Migratable
from lab.client import Object
from lab.kinds import VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import annotations_of, deleting, dig, final, name, phase, set_phase, stamp, uid
from lab.simulated.durations import Step

ABORTED = "Live migration has been aborted"


def of_instance(vmi: Object) -> Step | None:
    """What happens next to an instance on its node, or on the two nodes of its migration; None: nothing does."""
    if phase(vmi) not in ("Scheduled", "Running"):
        return None
    if deleting(vmi):
        return Step.STOP
    if phase(vmi) == "Scheduled":
        return Step.START
    state = dig(vmi, "status", "migrationState", default={})
    if not state or state.get("completed"):
        return None
    if state.get("endTimestamp"):
        return Step.COMPLETE
    if state.get("abortRequested"):
        return Step.ABORT
    if not state.get("targetNodeAddress"):
        return Step.PREPARE
    return Step.ARRIVE if state.get("startTimestamp") else Step.BEGIN


def apply(step: Step, vmi: Object, pod: Object | None, address: str) -> None:
    """Do it to the instance, in place: `pod` runs it now, `address` is the node's to which it migrates."""
    status = vmi["status"]
    state = status.get("migrationState") or {}
    if step is Step.STOP:
        set_phase(vmi, "Succeeded")
    elif step is Step.START and pod is not None:
        start(vmi, pod)
    elif step is Step.PREPARE:
        state.update(targetNodeAddress=address, targetDirectMigrationNodePorts={str(FIRST_PORT): FIRST_PORT})
    elif step is Step.BEGIN:
        state.update(startTimestamp=stamp(), mode="PreCopy")
    elif step is Step.ARRIVE:
        _arrive(vmi, state)
    elif step is Step.COMPLETE:
        state["completed"] = True
    elif step is Step.ABORT:
        state.update(
            startTimestamp=state.get("startTimestamp") or stamp(), endTimestamp=stamp(), completed=True, failed=True,
            failureReason=ABORTED, abortStatus="Succeeded",
        )


def start(vmi: Object, pod: Object) -> None:
    """The guest runs in its launcher, and can be live-migrated: no simulated disk is bound to a node."""
    given = annotations_of(pod)
    spec = read(vmi, given.get(MAC_ANNOTATION, ""), given.get(IP_ANNOTATION, ""))
    vmi_status.started(vmi, spec, Migratable(), {})


def _arrive(vmi: Object, state: Object) -> None:
    """What the target's virt-handler publishes in one write: the guest is here, and the evacuation is over."""
    state.update(targetNodeDomainDetected=True)
    state["targetNodeDomainReadyTimestamp"] = state["endTimestamp"] = stamp()
    vmi["metadata"].setdefault("labels", {})["kubevirt.io/nodeName"] = state["targetNode"]
    vmi["status"]["nodeName"] = state["targetNode"]
    vmi["status"].pop("evacuationNodeName", None)


def of_pod(pod: Object, vmi: Object | None, host: str) -> Step | None:
    """What happens next to a launcher pod on its node, whose address is `host`; None: nothing does."""
    if final(pod):
        return Step.REMOVE_POD if deleting(pod) else None
    if deleting(pod):
        return Step.END_POD
    if not pod_status.was_running(pod):
        return Step.RUN_TARGET if is_target(pod) else Step.RUN_POD
    if _is_over(pod, vmi):
        return Step.END_POD
    return Step.REFRESH_POD if running(pod, host) != pod else None


def _is_over(pod: Object, vmi: Object | None) -> bool:
    """Whether the guest of a launcher that ran is gone: ended, or arrived elsewhere."""
    if vmi is None or owner_uid(pod) != uid(vmi) or final(vmi):
        return True
    state = dig(vmi, "status", "migrationState", default={})
    return bool(state.get("completed")) and not state.get("failed") and state.get("sourcePod") == name(pod)


def owner_uid(pod: Object) -> str:
    """The uid of the instance whose launcher the pod is; empty for another pod."""
    owners = [entry for entry in pod["metadata"].get("ownerReferences", []) if entry.get("controller")]
    return next((str(entry["uid"]) for entry in owners if entry["kind"] == VIRTUAL_MACHINE_INSTANCE.name), "")


def running(pod: Object, host: str) -> Object:
    """The pod with its container running, since when it says itself, or since now."""
    since = dig(pod, "status", "containerStatuses", 0, "state", "running", "startedAt", default=stamp())
    address = annotations_of(pod).get(IP_ANNOTATION, "")
    return pod_status.running(pod, pod_status.Running(since, ready=True, ip=address, host_ip=host))


def ended(pod: Object, host: str) -> Object:
    """The pod with its container ended as it should."""
    since = dig(pod, "status", "containerStatuses", 0, "state", "running", "startedAt", default=stamp())
    return pod_status.terminated(pod, Exit(0), since, host)
