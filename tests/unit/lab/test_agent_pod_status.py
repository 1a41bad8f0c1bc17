"""The status of a launcher pod."""

from __future__ import annotations

from typing import Any

from lab.agent import pod_status
from lab.agent.launcher import Exit
from lab.agent.pod_status import Running
from lab.machinery.objects import condition

GATE = "kubevirt.io/virtual-machine-unpaused"
NOW = "2026-01-01T00:00:00Z"


def pod(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"uid": "p1", "name": "virt-launcher-x", "namespace": "ns"},
        "spec": {"containers": [{"name": "compute", "image": "i"}], "readinessGates": [{"conditionType": GATE}]},
        "status": {"phase": "Pending", "conditions": list(conditions)},
    }


def ready(body: dict[str, Any]) -> dict[str, Any]:
    found = condition(body, "Ready")
    assert found is not None
    return found


def test_ready_needs_every_gate() -> None:
    """Running containers do not make the pod ready while its gate's condition is missing or False."""
    now = Running(NOW, ready=True, ip="10.77.1.10", host_ip="10.77.0.11")
    missing = pod_status.running(pod(), now)
    assert ready(missing)["reason"] == "ReadinessGatesNotReady"
    assert "does not exist" in ready(missing)["message"]
    closed = pod_status.running(pod({"type": GATE, "status": "False"}), now)
    assert ready(closed)["status"] == "False"
    opened = pod_status.running(pod({"type": GATE, "status": "True"}), now)
    assert ready(opened)["status"] == "True"
    assert opened["status"]["podIP"] == "10.77.1.10"


def test_unready_container() -> None:
    """A failing probe shows in the container, in ContainersReady and in Ready."""
    body = pod_status.running(pod({"type": GATE, "status": "True"}), Running(NOW, False, "i", "h"))
    assert ready(body)["reason"] == "ContainersNotReady"
    assert body["status"]["containerStatuses"][0]["ready"] is False


def test_running_twice_changes_nothing() -> None:
    """The second look finds the status as it should be, so that nothing is written."""
    now = Running(NOW, True, "i", "h")
    once = pod_status.running(pod(), now)
    assert pod_status.running(once, now) == once


def test_end_decides_the_phase() -> None:
    """Exit code 0 is Succeeded, anything else Failed with its message."""
    good = pod_status.terminated(pod(), Exit(0, finished_at=NOW), NOW, "h")
    bad = pod_status.terminated(pod(), Exit(1, "why", finished_at=NOW), NOW, "h")
    assert (good["status"]["phase"], ready(good)["reason"]) == ("Succeeded", "PodCompleted")
    state = bad["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (bad["status"]["phase"], state["message"], state["exitCode"]) == ("Failed", "why", 1)


def test_missing_image_is_named() -> None:
    """The pod waits with ErrImagePull and the image's name."""
    body = pod_status.waiting(pod(), "other/image:1", "h")
    waiting = body["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "ErrImagePull"
    assert "other/image:1" in waiting["message"]
