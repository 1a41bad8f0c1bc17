"""The status a kubelet reports for a launcher pod: pure functions of the pod and of what runs for it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from lab.agent.launcher import Exit
from lab.client import Object
from lab.machinery.objects import condition_true, dig, set_condition, stamp

IMAGE_REASON = "ErrImagePull"
LOST_CODE = 255
"""The exit code of a container whose end nobody has seen, as the kubelet finds it after a reboot."""


@dataclass(frozen=True, slots=True)
class Running:
    """The containers run; `ready` is what the readiness probe says."""

    started_at: str
    ready: bool
    ip: str
    host_ip: str


def was_running(pod: Object) -> bool:
    """Whether the pod's containers were reported to run."""
    statuses = dig(pod, "status", "containerStatuses", default=[])
    return any(dig(entry, "state", "running") is not None for entry in statuses)


def waiting(pod: Object, image: str, host_ip: str) -> Object:
    """The pod with its containers waiting for an image that this node does not have."""
    changed = _started(pod, host_ip, stamp())
    message = (
        f'failed to pull image "{image}": not found; the lab has drainproof/guest, and what is in its cache directory'
    )
    state = {"waiting": {"reason": IMAGE_REASON, "message": message}}
    changed["status"]["phase"] = "Pending"
    changed["status"]["containerStatuses"] = _containers(pod, state, ready=False)
    set_condition(changed, "Initialized", "True")
    _not_ready(changed, "ContainersNotReady", f"containers with unready status: [{_names(pod)}]")
    return changed


def running(pod: Object, now: Running) -> Object:
    """The pod with its containers running; Ready honours every readiness gate of the pod."""
    changed = _started(pod, now.host_ip, now.started_at)
    status = changed["status"]
    status.update(phase="Running", podIP=now.ip, podIPs=[{"ip": now.ip}])
    state = {"running": {"startedAt": now.started_at}}
    status["containerStatuses"] = _containers(pod, state, ready=now.ready)
    set_condition(changed, "PodReadyToStartContainers", "True")
    set_condition(changed, "Initialized", "True")
    if not now.ready:
        _not_ready(changed, "ContainersNotReady", f"containers with unready status: [{_names(pod)}]")
        return changed
    set_condition(changed, "ContainersReady", "True")
    missing = _missing_gates(changed)
    if missing:
        set_condition(changed, "Ready", "False", "ReadinessGatesNotReady", missing)
    else:
        set_condition(changed, "Ready", "True")
    return changed


def terminated(pod: Object, end: Exit, started_at: str, host_ip: str) -> Object:
    """The pod with its containers ended: Succeeded for exit code 0, else Failed."""
    changed = _started(pod, host_ip, started_at)
    reason = "Completed" if end.code == 0 else "Error"
    state: Object = {
        "exitCode": end.code, "reason": reason, "startedAt": started_at, "finishedAt": end.finished_at,
    }
    if end.message:
        state["message"] = end.message
    changed["status"]["phase"] = "Succeeded" if end.code == 0 else "Failed"
    changed["status"]["containerStatuses"] = _containers(pod, {"terminated": state}, ready=False)
    set_condition(changed, "PodReadyToStartContainers", "False")
    reason = "PodCompleted" if end.code == 0 else "PodFailed"
    set_condition(changed, "Initialized", "True", reason if end.code == 0 else "")
    _not_ready(changed, reason, "")
    return changed


def _started(pod: Object, host_ip: str, started_at: str) -> Object:
    changed = copy.deepcopy(pod)
    status = changed.setdefault("status", {})
    status.setdefault("startTime", started_at)
    status.update(hostIP=host_ip, hostIPs=[{"ip": host_ip}])
    return changed


def _not_ready(pod: Object, reason: str, message: str) -> None:
    set_condition(pod, "ContainersReady", "False", reason, message)
    set_condition(pod, "Ready", "False", reason, message)


def _missing_gates(pod: Object) -> str:
    texts = []
    for gate in dig(pod, "spec", "readinessGates", default=[]):
        type_ = gate["conditionType"]
        if not any(entry["type"] == type_ for entry in pod["status"].get("conditions", [])):
            texts.append(f'corresponding condition of pod readiness gate "{type_}" does not exist.')
        elif not condition_true(pod, type_):
            texts.append(f'the status of pod readiness gate "{type_}" is not "True", but False')
    return ", ".join(texts)


def _containers(pod: Object, state: Object, *, ready: bool) -> list[Object]:
    return [
        {
            "name": container["name"], "state": state, "lastState": {}, "ready": ready, "restartCount": 0,
            "image": container.get("image", ""), "imageID": container.get("image", ""),
            "containerID": f"lab://{pod['metadata']['uid']}/{container['name']}", "started": "running" in state,
        }
        for container in pod["spec"].get("containers", [])
    ]


def _names(pod: Object) -> str:
    return " ".join(container["name"] for container in pod["spec"].get("containers", []))
