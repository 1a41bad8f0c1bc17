"""VirtualMachineSnapshots, from the lock on the VM to the removal of the last file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.controllers import snapshot_support
from lab.kinds import (
    MIGRATION,
    VIRTUAL_MACHINE,
    VIRTUAL_MACHINE_INSTANCE,
    VM_SNAPSHOT,
    VM_SNAPSHOT_CONTENT,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
    VOLUME_SNAPSHOT_CONTENT,
)
from lab.machinery.objects import condition
from tests.unit.lab.controllers_fake import cluster_of
from tests.unit.lab.snapshots_fake import World, word


@pytest.fixture(name="world")
def with_machine(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.machine()
    return world


def rested(world: World) -> None:
    """Let the pause after a failed attempt be over."""
    (content,) = world.api.all(VM_SNAPSHOT_CONTENT)
    content["status"]["error"]["time"] = "2026-01-01T00:00:00Z"


def test_a_snapshot_of_a_vm_that_is_off_is_ready_and_has_the_disk(world: World) -> None:
    world.snapshot()
    world.settle()
    status = world.status(VM_SNAPSHOT, "snap")
    assert (status["phase"], status["readyToUse"]) == ("Succeeded", True)
    assert "indications" not in status
    assert status["snapshotVolumes"] == {"includedVolumes": ["disk"], "excludedVolumes": ["root"]}
    assert status["sourceUID"] == world.api.there(VIRTUAL_MACHINE, "demo/vm")["metadata"]["uid"]
    snapshot = world.api.there(VM_SNAPSHOT, "demo/snap")
    assert (condition(snapshot, "Ready") or {})["reason"] == "Ready"
    assert (condition(snapshot, "Progressing") or {})["reason"] == "Operation complete"
    (folder,) = world.snapshot_files()
    assert word(folder / "disk.img") == b"old"
    machine = world.api.there(VIRTUAL_MACHINE, "demo/vm")
    assert "snapshotInProgress" not in machine["status"]
    assert not machine["metadata"].get("finalizers")
    assert world.api.guest_calls == []


def test_an_online_snapshot_thaws_the_guest_before_the_copy_is_ready(world: World) -> None:
    world.run()
    world.snapshot()
    world.settle()
    assert list(dict.fromkeys(call for _, call in world.api.guest_calls)) == ["freeze", "copies", "unfreeze"]
    status = world.status(VM_SNAPSHOT, "snap")
    assert (status["phase"], status["readyToUse"]) == ("Succeeded", False)
    assert status["indications"] == ["GuestAgent", "Online"]
    (job,) = world.api.copies.values()
    assert job["volume"] == "disk"
    world.finish_copies()
    world.settle()
    assert world.status(VM_SNAPSHOT, "snap")["readyToUse"] is True
    assert world.api.copies == {}


def test_without_a_guest_agent_the_snapshot_says_so_and_nothing_is_frozen(world: World) -> None:
    world.run(agent=False)
    world.snapshot()
    world.settle()
    assert world.status(VM_SNAPSHOT, "snap")["indications"] == ["NoGuestAgent", "Online"]
    assert {call for _, call in world.api.guest_calls} == {"copies"}


def test_a_copy_that_fails_is_never_ready_and_leaves_nothing(world: World) -> None:
    world.run()
    world.snapshot()
    world.settle()
    world.finish_copies("failed", "No space left on device")
    world.settle()
    status = world.status(VM_SNAPSHOT, "snap")
    assert status["readyToUse"] is False
    assert "No space left on device" in status["error"]["message"]
    assert world.snapshot_files() == []
    assert "fsFreezeStatus" not in world.status(VIRTUAL_MACHINE_INSTANCE, "vm")
    (content,) = world.api.all(VOLUME_SNAPSHOT_CONTENT)
    assert content["status"]["readyToUse"] is False
    assert [call for method, call in world.api.guest_calls if method == "PUT"].count("copies") == 1


def test_a_copy_that_does_not_begin_thaws_the_guest_and_is_tried_anew_from_the_freeze(world: World) -> None:
    world.run()
    world.api.refusal = "the disk has no such node"
    world.snapshot()
    world.settle()
    assert "fsFreezeStatus" not in world.status(VIRTUAL_MACHINE_INSTANCE, "vm")
    status = world.status(VM_SNAPSHOT, "snap")
    assert (status["phase"], "the disk has no such node" in status["error"]["message"]) == ("InProgress", True)
    assert world.snapshot_files() == []
    assert [call for _, call in world.api.guest_calls].count("freeze") == 1
    world.api.refusal = ""
    rested(world)
    world.settle()
    assert [call for _, call in world.api.guest_calls].count("freeze") == 2
    world.finish_copies()
    world.settle()
    assert world.status(VM_SNAPSHOT, "snap")["readyToUse"] is True
    assert "error" not in world.status(VM_SNAPSHOT, "snap")


def test_a_migration_that_begins_during_the_copy_is_named(world: World) -> None:
    world.run()
    world.snapshot()
    world.settle()
    world.api.given(MIGRATION, {"metadata": {"name": "m"}, "spec": {"vmiName": "vm"}, "status": {"phase": "Running"}})
    world.api.copies.clear()
    world.settle()
    status = world.status(VM_SNAPSHOT, "snap")
    assert (status["readyToUse"], "because the guest migrates" in status["error"]["message"]) == (False, True)
    assert world.snapshot_files() == []


def test_a_guest_that_ends_during_the_copy_fails_the_snapshot(world: World) -> None:
    world.run()
    world.snapshot()
    world.settle()
    del world.api.objects["VirtualMachineInstance", "demo/vm"]
    world.settle()
    assert "ended before its volume was copied" in world.status(VM_SNAPSHOT, "snap")["error"]["message"]
    assert world.snapshot_files() == []


def test_a_migrating_guest_is_neither_frozen_nor_copied(world: World) -> None:
    world.run()
    world.api.given(MIGRATION, {"metadata": {"name": "m"}, "spec": {"vmiName": "vm"}, "status": {"phase": "Running"}})
    world.snapshot()
    world.settle()
    assert world.api.guest_calls == []
    assert world.api.all(VOLUME_SNAPSHOT) == []
    status = world.status(VM_SNAPSHOT, "snap")
    assert (status["phase"], "is migrating" in status["error"]["message"]) == ("InProgress", True)
    world.api.there(MIGRATION, "demo/m")["status"]["phase"] = "Succeeded"
    rested(world)
    world.settle()
    assert world.status(VM_SNAPSHOT, "snap")["phase"] == "Succeeded"


def test_past_its_deadline_a_snapshot_has_failed_and_the_vm_is_free(world: World) -> None:
    world.run()
    world.api.refusal = "never"
    world.snapshot(failureDeadline="30s")
    world.settle(2)
    world.api.there(VM_SNAPSHOT, "demo/snap")["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    world.settle()
    status = world.status(VM_SNAPSHOT, "snap")
    assert (status["phase"], status["readyToUse"]) == ("Failed", False)
    failure = condition(world.api.there(VM_SNAPSHOT, "demo/snap"), "Failure") or {}
    assert failure["reason"] == "snapshot deadline exceeded"
    assert "snapshotInProgress" not in world.status(VIRTUAL_MACHINE, "vm")
    assert "fsFreezeStatus" not in world.status(VIRTUAL_MACHINE_INSTANCE, "vm")
    assert world.api.all(VM_SNAPSHOT_CONTENT) == []


def test_a_second_snapshot_waits_for_the_first(world: World) -> None:
    world.api.there(VIRTUAL_MACHINE, "demo/vm")["status"]["snapshotInProgress"] = "other"
    world.snapshot()
    world.settle()
    progressing = condition(world.api.there(VM_SNAPSHOT, "demo/snap"), "Progressing") or {}
    assert progressing["reason"] == 'Source not locked snapshot "other" in progress'
    assert world.api.all(VM_SNAPSHOT_CONTENT) == []


def test_a_disk_whose_class_has_no_snapshots_is_left_out_and_named(world: World) -> None:
    for item in list(world.api.all(VOLUME_SNAPSHOT_CLASS)):
        del world.api.objects["VolumeSnapshotClass", item["metadata"]["name"]]
    world.snapshot()
    world.settle()
    status = world.status(VM_SNAPSHOT, "snap")
    assert status["snapshotVolumes"] == {"excludedVolumes": ["root", "disk"]}
    assert status["indications"] == ["PartialSnapshot"]


def test_the_vm_says_which_of_its_volumes_can_be_snapshotted(world: World) -> None:
    machine = world.api.there(VIRTUAL_MACHINE, "demo/vm")
    snapshot_support.note(cluster_of(world.api), machine)
    assert machine["status"]["volumeSnapshotStatuses"] == [
        {"enabled": False, "name": "root", "reason": "Snapshot is not supported for this volumeSource type [root]"},
        {"enabled": True, "name": "disk"},
    ]
    del world.api.objects["VolumeSnapshotClass", "lab-shared"]
    snapshot_support.note(cluster_of(world.api), machine)
    assert machine["status"]["volumeSnapshotStatuses"][1] == {
        "enabled": False, "name": "disk",
        "reason": "No VolumeSnapshotClass: Volume snapshots are not configured for this StorageClass [lab-shared] "
                  "[disk]",
    }


@pytest.mark.parametrize(("policy", "kept"), [("Delete", 0), ("Retain", 1)])
def test_the_deletion_policy_decides_over_the_data(world: World, policy: str, kept: int) -> None:
    world.snapshot(deletionPolicy=policy)
    world.settle()
    world.api.there(VM_SNAPSHOT, "demo/snap")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.settle()
    assert world.api.all(VM_SNAPSHOT) == []
    assert len(world.api.all(VM_SNAPSHOT_CONTENT)) == kept
    assert len(world.snapshot_files()) == kept
