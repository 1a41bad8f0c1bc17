"""Virtual machines follow their run strategy and tell how they are."""

from __future__ import annotations

from typing import Any

import pytest

from lab.client import Object
from lab.controllers import vm, vm_status
from lab.kinds import VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import condition
from tests.unit.lab.controllers_fake import FakeApi, reconcile, vmi

WHERE = "demo/vm"


def machine(strategy: str = "Always", **status: Any) -> Object:
    template = {"metadata": {"labels": {"app": "portal"}}, "spec": {"domain": {"devices": {}}}}
    return {"metadata": {"name": "vm"}, "spec": {"runStrategy": strategy, "template": template}, "status": status}


def instance(api: FakeApi, **status: Any) -> Object:
    item = vmi(**status)
    owner = {"kind": "VirtualMachine", "name": "vm", "uid": "uid-VirtualMachine-vm", "controller": True}
    item["metadata"].update(ownerReferences=[owner], finalizers=[
        "kubevirt.io/virtualMachineControllerFinalize", "kubevirt.io/foregroundDeleteVirtualMachine",
    ])
    return api.given(VIRTUAL_MACHINE_INSTANCE, item)


def present(api: FakeApi) -> bool:
    return ("VirtualMachineInstance", WHERE) in api.objects


def asked_to_go(api: FakeApi) -> bool:
    return bool(api.there(VIRTUAL_MACHINE_INSTANCE, WHERE)["metadata"].get("deletionTimestamp"))


@pytest.mark.parametrize(("strategy", "started"), [
    ("Always", True), ("RerunOnFailure", True), ("Once", True), ("Manual", False), ("Halted", False),
])
def test_a_strategy_starts_the_instance_or_not(strategy: str, started: bool) -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine(strategy))
    reconcile(api, vm.reconcile, WHERE)
    assert present(api) is started


def test_the_instance_belongs_to_the_machine_and_keeps_its_firmware() -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine())
    reconcile(api, vm.reconcile, WHERE)
    made = api.there(VIRTUAL_MACHINE_INSTANCE, WHERE)
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-VirtualMachine-vm"
    assert made["metadata"]["labels"] == {"app": "portal"}
    status = api.there(VIRTUAL_MACHINE, WHERE)["status"]
    assert (status["printableStatus"], status["created"]) == ("Starting", True)


def test_one_reconcile_after_another_makes_one_instance() -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine())
    reconcile(api, vm.reconcile, WHERE, times=3)
    assert [call for call in api.calls if call[0] == "create"] == [("create", "VirtualMachineInstance", "vm")]


@pytest.mark.parametrize(("strategy", "phase", "goes"), [
    ("Halted", "Running", True), ("Always", "Running", False), ("Always", "Succeeded", True),
    ("Always", "Failed", True), ("RerunOnFailure", "Succeeded", False), ("RerunOnFailure", "Failed", True),
    ("Manual", "Succeeded", False), ("Once", "Failed", False),
])
def test_what_ends_the_instance(strategy: str, phase: str, goes: bool) -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine(strategy))
    instance(api, phase=phase, phaseTransitionTimestamps=[{"phase": "Running"}])
    reconcile(api, vm.reconcile, WHERE)
    assert asked_to_go(api) is goes


def test_a_manual_start_request_is_used_up_by_the_start() -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine("Manual", stateChangeRequests=[{"action": "Start", "data": {"paused": "true"}}]))
    reconcile(api, vm.reconcile, WHERE)
    assert api.there(VIRTUAL_MACHINE_INSTANCE, WHERE)["spec"]["startStrategy"] == "Paused"
    assert "stateChangeRequests" not in api.there(VIRTUAL_MACHINE, WHERE)["status"]


def test_a_restart_stops_that_instance_and_then_starts_another() -> None:
    api = FakeApi()
    old = instance(api, phase="Running", phaseTransitionTimestamps=[{"phase": "Running"}])
    requests = [{"action": "Stop", "uid": old["metadata"]["uid"]}, {"action": "Start"}]
    api.given(VIRTUAL_MACHINE, machine("Manual", stateChangeRequests=requests))
    reconcile(api, vm.reconcile, WHERE)
    assert asked_to_go(api)
    assert api.there(VIRTUAL_MACHINE, WHERE)["status"]["stateChangeRequests"] == requests
    del api.objects["VirtualMachineInstance", WHERE]
    reconcile(api, vm.reconcile, WHERE)
    assert present(api)
    assert "stateChangeRequests" not in api.there(VIRTUAL_MACHINE, WHERE)["status"]


def test_an_instance_that_never_ran_delays_the_next_start() -> None:
    """10 s after the first failure, plus up to half as much."""
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine())
    instance(api, phase="Failed")
    reconcile(api, vm.reconcile, WHERE)
    failure = api.there(VIRTUAL_MACHINE, WHERE)["status"]["startFailure"]
    assert (failure["consecutiveFailCount"], failure["lastFailedVMIUID"]) == (1, "uid-VirtualMachineInstance-vm")
    api.objects.pop(("VirtualMachineInstance", WHERE), None)
    again = reconcile(api, vm.reconcile, WHERE)
    assert again is not None
    assert 8 <= again <= 15
    assert not present(api)
    assert api.there(VIRTUAL_MACHINE, WHERE)["status"]["printableStatus"] == "CrashLoopBackOff"


def test_a_deleted_machine_waits_for_its_instance() -> None:
    api = FakeApi()
    gone = machine()
    gone["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z",
                            finalizers=["kubevirt.io/virtualMachineControllerFinalize"])
    api.given(VIRTUAL_MACHINE, gone)
    instance(api, phase="Running")
    reconcile(api, vm.reconcile, WHERE)
    assert asked_to_go(api)
    assert api.there(VIRTUAL_MACHINE, WHERE)["status"]["printableStatus"] == "Terminating"
    del api.objects["VirtualMachineInstance", WHERE]
    reconcile(api, vm.reconcile, WHERE)
    assert ("VirtualMachine", WHERE) not in api.objects


def test_conditions_are_copied_from_the_instance() -> None:
    api = FakeApi()
    api.given(VIRTUAL_MACHINE, machine())
    instance(api, phase="Running", conditions=[
        {"type": "Ready", "status": "True"}, {"type": "LiveMigratable", "status": "True"},
    ])
    reconcile(api, vm.reconcile, WHERE)
    stored = api.there(VIRTUAL_MACHINE, WHERE)
    assert {entry["type"] for entry in stored["status"]["conditions"]} == {"Ready", "LiveMigratable"}
    assert stored["status"]["ready"] is True


def test_a_changed_template_asks_for_a_restart() -> None:
    api = FakeApi()
    stored = api.given(VIRTUAL_MACHINE, machine())
    reconcile(api, vm.reconcile, WHERE)
    stored = api.there(VIRTUAL_MACHINE, WHERE)
    stored["spec"]["template"]["spec"]["domain"]["cpu"] = {"cores": 2}
    reconcile(api, vm.reconcile, WHERE)
    assert condition(api.there(VIRTUAL_MACHINE, WHERE), "RestartRequired")


@pytest.mark.parametrize(("status", "shown"), [
    ({"phase": "Running", "migrationState": {"startTimestamp": "x"}}, "Migrating"),
    ({"phase": "Running", "migrationState": {"startTimestamp": "x", "endTimestamp": "y"}}, "Running"),
    ({"phase": "Running", "conditions": [{"type": "Paused", "status": "True"}]}, "Paused"),
    ({"phase": "Scheduling",
      "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "ErrorUnschedulable"),
    ({"phase": "Scheduling",
      "conditions": [{"type": "Synchronized", "status": "False", "reason": "ErrImagePull"}]}, "ErrImagePull"),
    ({"phase": "Scheduled"}, "Starting"),
    ({"phase": "Succeeded"}, "Stopped"),
])
def test_the_printable_status_is_the_first_that_holds(status: Object, shown: str) -> None:
    assert vm_status.printable_status(machine("Halted"), vmi(**status)) == shown


def test_a_missing_claim_shows_before_a_missing_node() -> None:
    waiting = vmi(phase="Pending")
    assert vm_status.printable_status(machine(), waiting, "missing") == "ErrorPvcNotFound"
    assert vm_status.printable_status(machine(), waiting, "unbound") == "WaitingForVolumeBinding"
