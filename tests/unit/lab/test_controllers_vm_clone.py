"""VirtualMachineClones: another identity, the same data, and nothing temporary left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.controllers.vm_clone_patches import patches
from lab.controllers.vm_restore_plan import RestoreError
from lab.controllers.vm_restore_target import patched
from lab.kinds import VIRTUAL_MACHINE, VM_CLONE, VM_RESTORE, VM_SNAPSHOT
from lab.machinery.objects import condition
from tests.unit.lab.snapshots_fake import World, word


def clone(world: World, **spec: Any) -> None:
    world.api.given(VM_CLONE, {"metadata": {"name": "twin"}, "spec": {
        "source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"},
        "target": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm2"}, **spec,
    }})


@pytest.fixture(name="world")
def with_machine(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.machine(macAddress="02:00:00:00:00:07")
    return world


def test_a_clone_has_the_data_and_another_identity(world: World) -> None:
    clone(world)
    world.settle(20)
    status = world.status(VM_CLONE, "twin")
    assert (status["phase"], status["targetName"]) == ("Succeeded", "vm2")
    made = world.api.there(VIRTUAL_MACHINE, "demo/vm2")["spec"]["template"]["spec"]
    (interface,) = made["domain"]["devices"]["interfaces"]
    assert interface == {"name": "default", "bridge": {}}
    assert made["domain"]["firmware"] == {}
    claim = made["volumes"][1]["persistentVolumeClaim"]["claimName"]
    assert claim != "data"
    assert word(world.disk(claim)) == b"old"


def test_nothing_temporary_is_left(world: World) -> None:
    clone(world)
    world.settle(20)
    world.settle(4)
    assert world.api.all(VM_RESTORE) == []
    assert world.api.all(VM_SNAPSHOT) == []
    assert world.snapshot_files() == []
    assert not {"snapshotName", "restoreName"} & set(world.status(VM_CLONE, "twin"))


def test_the_events_tell_the_steps(world: World) -> None:
    clone(world)
    world.settle(20)
    assert world.api.reasons(VM_CLONE) == [
        "SnapshotCreated", "SnapshotReady", "RestoreCreated", "RestoreReady", "TargetVMCreated", "PVCBound",
    ]


def test_a_source_that_is_missing_is_waited_for(world: World) -> None:
    clone(world, source={"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "nobody"})
    world.settle(3)
    item = world.api.there(VM_CLONE, "demo/twin")
    assert (condition(item, "Ready") or {})["reason"] == "Source doesnt exist: VirtualMachine demo/nobody"
    assert world.api.reasons(VM_CLONE) == ["SourceDoesNotExist"]


def test_a_disk_without_snapshots_cannot_be_cloned(world: World) -> None:
    machine = world.api.there(VIRTUAL_MACHINE, "demo/vm")
    machine["status"]["volumeSnapshotStatuses"][1]["enabled"] = False
    clone(world)
    world.settle(3)
    ready = condition(world.api.there(VM_CLONE, "demo/twin"), "Ready") or {}
    assert ready["reason"] == "Virtual Machine volume disk does not support snapshots"
    assert world.api.all(VM_SNAPSHOT) == []


def test_a_clone_whose_copy_fails_has_failed_and_made_no_vm(world: World) -> None:
    world.run()
    clone(world)
    world.settle()
    world.finish_copies("failed", "I/O error")
    world.settle()
    assert world.status(VM_CLONE, "twin")["phase"] == "Failed"
    assert "I/O error" in (condition(world.api.there(VM_CLONE, "demo/twin"), "Ready") or {})["reason"]
    assert ("VirtualMachine", "demo/vm2") not in world.api.objects


def test_a_clone_of_a_snapshot_leaves_the_snapshot(world: World) -> None:
    world.snapshot()
    world.settle()
    clone(world, source={"apiGroup": "snapshot.kubevirt.io", "kind": "VirtualMachineSnapshot", "name": "snap"})
    world.settle(20)
    assert world.status(VM_CLONE, "twin")["phase"] == "Succeeded"
    assert [item["metadata"]["name"] for item in world.api.all(VM_SNAPSHOT)] == ["snap"]


def test_filters_and_wishes_become_patches(world: World) -> None:
    machine = world.api.there(VIRTUAL_MACHINE, "demo/vm")
    spec = {
        "newMacAddresses": {"default": "02:00:00:00:00:09"}, "newSMBiosSerial": "s2",
        "template": {"annotationFilters": ["*", "!network.kubevirt.io/addresses"]}, "labelFilters": ["!a"],
    }
    made = patched({"metadata": dict(machine["metadata"]), "spec": machine["spec"]}, patches(machine, spec))
    template = made["spec"]["template"]
    assert template["metadata"]["annotations"] == {"kept": "yes"}
    assert template["spec"]["domain"]["devices"]["interfaces"][0]["macAddress"] == "02:00:00:00:00:09"
    assert template["spec"]["domain"]["firmware"] == {"serial": "s2"}
    assert made["metadata"]["labels"] == {}


def test_a_patch_that_does_not_fit_is_an_error(world: World) -> None:
    machine = world.api.there(VIRTUAL_MACHINE, "demo/vm")
    with pytest.raises(RestoreError, match="error patching VM vm"):
        patched(machine, ['{"op": "remove", "path": "/spec/nothing"}'])
