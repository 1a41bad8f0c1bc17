"""Virtual machine instances: their pod, their phases, what follows from their pods."""

from __future__ import annotations

import pytest

from lab.client import Object
from lab.controllers import vmi as controller
from lab.kinds import PERSISTENT_VOLUME_CLAIM, POD, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import condition, condition_true, phase
from tests.unit.lab.controllers_fake import FakeApi, reconcile, running_pod, vmi

WHERE = "demo/vm"


def instance(api: FakeApi) -> Object:
    return api.there(VIRTUAL_MACHINE_INSTANCE, WHERE)


def go(api: FakeApi, times: int = 1) -> float | None:
    return reconcile(api, controller.reconcile, WHERE, times)


def test_a_new_instance_gets_its_pod_and_waits_for_a_node() -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE_INSTANCE, vmi())
    go(api)
    assert phase(instance(api)) == "Pending"
    go(api)
    assert phase(instance(api)) == "Scheduling"
    assert len(api.all(POD)) == 1
    assert api.reasons(VIRTUAL_MACHINE_INSTANCE) == ["SuccessfulCreate"]
    assert condition_true(api.all(POD)[0], "kubevirt.io/virtual-machine-unpaused")
    go(api, times=3)
    assert len(api.all(POD)) == 1


def test_a_started_pod_hands_the_instance_to_its_node() -> None:
    api = FakeApi()
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Scheduling"))
    api.given(POD, running_pod("launcher", owner, "node-a"))
    go(api)
    assert phase(instance(api)) == "Scheduled"
    assert instance(api)["status"]["nodeName"] == "node-a"
    assert instance(api)["metadata"]["labels"]["kubevirt.io/nodeName"] == "node-a"
    assert instance(api)["status"]["activePods"] == {"uid-Pod-launcher": "node-a"}
    assert condition(instance(api), "Ready") is not None
    assert not condition_true(instance(api), "Ready")


def test_ready_is_the_pods_once_the_guest_runs() -> None:
    api = FakeApi()
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Running", nodeName="node-a"))
    api.given(POD, running_pod("launcher", owner, "node-a"))
    go(api)
    assert condition_true(instance(api), "Ready")


def test_only_the_pod_on_the_instances_node_passes_the_readiness_gate() -> None:
    """A migration target stays out of Services until the guest has arrived."""
    api = FakeApi()
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Running", nodeName="node-a"))
    api.given(POD, running_pod("source", owner, "node-a"))
    api.given(POD, running_pod("target", owner, "node-b"))
    go(api)
    gate = "kubevirt.io/virtual-machine-unpaused"
    assert condition_true(api.there(POD, "demo/source"), gate)
    assert condition(api.there(POD, "demo/target"), gate) is None
    instance(api)["status"]["nodeName"] = "node-b"
    go(api)
    assert condition_true(api.there(POD, "demo/target"), gate)


def test_a_paused_guest_closes_the_gate() -> None:
    api = FakeApi()
    paused = [{"type": "Paused", "status": "True", "reason": "PausedByUser"}]
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Running", nodeName="node-a", conditions=paused))
    api.given(POD, running_pod("launcher", owner, "node-a"))
    go(api)
    gate = condition(api.there(POD, "demo/launcher"), "kubevirt.io/virtual-machine-unpaused")
    assert gate is not None
    assert (gate["status"], gate["reason"]) == ("False", "Paused")


def test_an_instance_without_a_pod_has_failed() -> None:
    """Its node is gone and the pod was removed by force."""
    api = FakeApi()
    api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Running", nodeName="node-a"))
    go(api)
    assert phase(instance(api)) == "Failed"
    told = condition(instance(api), "Ready")
    assert told is not None
    assert told["reason"] == "PodNotExists"


def test_a_finished_pod_counts_after_its_node_had_time_to_tell() -> None:
    api = FakeApi()
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Running", nodeName="node-a"))
    pod = running_pod("launcher", owner, "node-a")
    ended = {"name": "compute", "state": {"terminated": {"finishedAt": "2020-01-01T00:00:00Z"}}}
    pod["status"].update(phase="Succeeded", containerStatuses=[ended])
    pod["status"]["conditions"][0]["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    api.given(POD, pod)
    go(api)
    assert phase(instance(api)) == "Succeeded"


def test_an_unschedulable_pod_shows_in_the_instance() -> None:
    api = FakeApi()
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(phase="Scheduling"))
    pod = running_pod("launcher", owner, "")
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4 nodes"}
    pod["status"] = {"phase": "Pending", "conditions": [told]}
    api.given(POD, pod)
    go(api)
    shown = condition(instance(api), "PodScheduled")
    assert shown is not None
    assert shown["message"] == "0/4 nodes"


def test_a_missing_claim_keeps_the_pod_from_being_made() -> None:
    api = FakeApi()
    waiting = vmi(phase="Pending")
    waiting["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    api.given(VIRTUAL_MACHINE_INSTANCE, waiting)
    go(api, times=2)
    assert api.reasons(VIRTUAL_MACHINE_INSTANCE) == ["FailedPvcNotFound"]
    api.given(PERSISTENT_VOLUME_CLAIM, {"metadata": {"name": "data"}, "spec": {}})
    go(api)
    assert len(api.all(POD)) == 1


def test_a_deleted_instance_takes_its_pods_along() -> None:
    api = FakeApi()
    gone = vmi(phase="Running", nodeName="node-a")
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, gone)
    api.given(POD, running_pod("launcher", owner, "node-a"))
    go(api)
    assert api.there(POD, "demo/launcher")["metadata"]["deletionTimestamp"]
    instance(api)["status"]["phase"] = "Succeeded"
    go(api)
    assert ("VirtualMachineInstance", WHERE) in api.objects
    del api.objects["Pod", "demo/launcher"]
    go(api)
    assert ("VirtualMachineInstance", WHERE) not in api.objects


@pytest.mark.parametrize("marked", [True, False])
def test_an_eviction_mark_shows_as_a_condition(marked: bool) -> None:
    api = FakeApi()
    status = {"phase": "Running", "nodeName": "node-a", **({"evacuationNodeName": "node-a"} if marked else {})}
    owner = api.given(VIRTUAL_MACHINE_INSTANCE, vmi(**status))
    api.given(POD, running_pod("launcher", owner, "node-a"))
    go(api)
    assert condition_true(instance(api), "EvictionRequested") is marked
