"""VirtualMachineRestores: to the same VM, to a new one, and the refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.kinds import (
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    VIRTUAL_MACHINE,
    VM_RESTORE,
    VM_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
)
from lab.machinery.objects import condition
from tests.unit.lab.snapshots_fake import World, word, write


@pytest.fixture(name="world")
def with_snapshot(tmp_path: Path) -> World:
    """A snapshot of the old content; the disk has new content since."""
    world = World(tmp_path)
    world.machine()
    world.snapshot()
    world.settle()
    write(world.disk("data"), b"new")
    return world


def claim_of(world: World, machine: str = "vm") -> str:
    volumes = world.api.there(VIRTUAL_MACHINE, f"demo/{machine}")["spec"]["template"]["spec"]["volumes"]
    return str(volumes[1]["persistentVolumeClaim"]["claimName"])


def test_a_restore_gives_the_vm_its_old_disk_under_kubevirts_name(world: World) -> None:
    world.api.there(VIRTUAL_MACHINE, "demo/vm")["spec"]["runStrategy"] = "Manual"
    world.restore()
    world.settle()
    restore = world.api.there(VM_RESTORE, "demo/back")
    assert restore["status"]["complete"] is True
    name = f"restore-{restore['metadata']['uid']}-disk"
    (entry,) = restore["status"]["restores"]
    assert (entry["volumeName"], entry["persistentVolumeClaim"]) == ("disk", name)
    assert claim_of(world) == name
    assert word(world.disk(name)) == b"old"
    assert word(world.disk("data")) == b"new"
    machine = world.api.there(VIRTUAL_MACHINE, "demo/vm")
    assert machine["spec"]["runStrategy"] == "Manual"
    assert machine["metadata"]["annotations"]["restore.kubevirt.io/lastRestoreUID"].startswith("back-")
    assert "restoreInProgress" not in machine["status"]
    owner = world.api.there(PERSISTENT_VOLUME_CLAIM, f"demo/{name}")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("VirtualMachine", machine["metadata"]["uid"])
    assert "VirtualMachineRestoreComplete" in world.api.reasons(VM_RESTORE)
    assert (condition(restore, "Ready") or {})["reason"] == "Operation complete"


def test_a_raw_device_is_restored_and_copied_as_one(tmp_path: Path) -> None:
    """The new claims and their volumes have the mode of the old one."""
    world = World(tmp_path)
    world.machine(volume_mode="Block")
    world.snapshot()
    world.settle()
    world.restore()
    world.settle()
    restored = world.api.there(PERSISTENT_VOLUME_CLAIM, f"demo/{claim_of(world)}")
    volume = world.api.there(PERSISTENT_VOLUME, restored["spec"]["volumeName"])
    assert restored["metadata"]["name"].startswith("restore-")
    assert (restored["spec"]["volumeMode"], volume["spec"]["volumeMode"]) == ("Block", "Block")


def test_a_restore_to_a_new_name_makes_a_vm_that_is_off(world: World) -> None:
    world.api.there(VIRTUAL_MACHINE, "demo/vm")["spec"]["runStrategy"] = "Always"
    world.restore("copy", volumeRestorePolicy="PrefixTargetName")
    world.settle()
    made = world.api.there(VIRTUAL_MACHINE, "demo/copy")
    assert made["spec"]["runStrategy"] == "Halted"
    assert claim_of(world, "copy") == "copy-disk"
    assert claim_of(world) == "data"
    assert word(world.disk("copy-disk")) == b"old"


@pytest.mark.parametrize(("policy", "text"), [
    ("WaitGracePeriod", "or the operation will fail after 5m0s"),
    ("WaitEventually", "Please stop the restore target to proceed with restore"),
])
def test_a_running_target_is_waited_for(world: World, policy: str, text: str) -> None:
    world.run()
    world.restore(targetReadinessPolicy=policy)
    world.settle()
    ready = condition(world.api.there(VM_RESTORE, "demo/back"), "Ready") or {}
    assert ready["reason"].endswith(text)
    assert world.api.reasons(VM_RESTORE) == ["RestoreTargetNotReady"]
    del world.api.objects["VirtualMachineInstance", "demo/vm"]
    world.settle()
    assert world.status(VM_RESTORE, "back")["complete"] is True


def test_a_running_target_is_stopped_on_request(world: World) -> None:
    world.api.there(VIRTUAL_MACHINE, "demo/vm")["spec"]["runStrategy"] = "Always"
    world.run()
    world.restore(targetReadinessPolicy="StopTarget")
    world.settle(3)
    assert world.api.there(VIRTUAL_MACHINE, "demo/vm")["spec"]["runStrategy"] == "Halted"


def test_a_running_target_fails_the_restore_at_once_on_request(world: World) -> None:
    world.run()
    world.restore(targetReadinessPolicy="FailImmediate")
    world.settle()
    restore = world.api.there(VM_RESTORE, "demo/back")
    assert (condition(restore, "Failure") or {})["status"] == "True"
    assert restore["status"]["complete"] is False
    del world.api.objects["VirtualMachineInstance", "demo/vm"]
    world.settle()
    assert world.status(VM_RESTORE, "back")["complete"] is False
    assert claim_of(world) == "data"


def test_a_snapshot_that_is_not_ready_restores_nothing(world: World) -> None:
    world.api.there(VM_SNAPSHOT, "demo/snap")["status"]["readyToUse"] = False
    (content,) = [item for (kind, _), item in world.api.objects.items() if kind == "VirtualMachineSnapshotContent"]
    content["status"]["readyToUse"] = False
    for (kind, _), item in world.api.objects.items():
        if kind in ("VolumeSnapshot", "VolumeSnapshotContent"):
            item["status"]["readyToUse"] = False
    world.restore()
    world.settle(2)
    ready = condition(world.api.there(VM_RESTORE, "demo/back"), "Ready") or {}
    assert ready["reason"] == "VMSnapshot demo/snap not ready"
    assert len(world.api.all(PERSISTENT_VOLUME_CLAIM)) == 1


def test_another_vm_that_exists_is_no_target(world: World) -> None:
    world.api.given(VIRTUAL_MACHINE, {
        "metadata": {"name": "other"}, "spec": {"runStrategy": "Halted", "template": {"spec": {}}},
    })
    world.restore("other")
    world.settle()
    ready = condition(world.api.there(VM_RESTORE, "demo/back"), "Ready") or {}
    assert ready["reason"] == "restore source and restore target are different but restore target already exists"


def test_in_place_the_claim_keeps_its_name_and_gets_the_old_content(world: World) -> None:
    before = world.api.there(PERSISTENT_VOLUME_CLAIM, "demo/data")["metadata"]["uid"]
    world.restore(volumeRestorePolicy="InPlace")
    world.settle()
    assert world.status(VM_RESTORE, "back")["complete"] is True
    assert claim_of(world) == "data"
    assert world.api.there(PERSISTENT_VOLUME_CLAIM, "demo/data")["metadata"]["uid"] != before
    assert word(world.disk("data")) == b"old"


def test_a_snapshot_without_disks_restores_the_vm_alone(tmp_path: Path) -> None:
    """As KubeVirt does it: whoever restores has to look whether the snapshot has the disks."""
    world = World(tmp_path)
    world.machine()
    for item in list(world.api.all(VOLUME_SNAPSHOT_CLASS)):
        del world.api.objects["VolumeSnapshotClass", item["metadata"]["name"]]
    world.snapshot()
    world.settle()
    world.restore()
    world.settle()
    status = world.status(VM_RESTORE, "back")
    assert (status["complete"], "restores" in status) == (True, False)
    assert claim_of(world) == "data"
