"""VolumeSnapshots and their contents, and claims that are filled from a snapshot or from another claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.controllers import volumes
from lab.kinds import (
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
    VIRTUAL_MACHINE_INSTANCE,
    VOLUME_SNAPSHOT,
    VOLUME_SNAPSHOT_CLASS,
    VOLUME_SNAPSHOT_CONTENT,
)
from lab.machinery.objects import phase
from tests.unit.lab.controllers_fake import reconcile
from tests.unit.lab.snapshots_fake import SIZE, World, word, write


@pytest.fixture(name="world")
def with_disk(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.machine()
    return world


def snapshot(world: World, **spec: Any) -> None:
    source = {"persistentVolumeClaimName": "data"}
    world.api.given(VOLUME_SNAPSHOT, {"metadata": {"name": "vs"}, "spec": {"source": source, **spec}})


def claim(world: World, kind: str = "VolumeSnapshot", name: str = "vs", size: int = SIZE, **spec: Any) -> None:
    group = {"apiGroup": "snapshot.storage.k8s.io"} if kind == "VolumeSnapshot" else {}
    world.api.given(PERSISTENT_VOLUME_CLAIM, {
        "metadata": {"name": "new"}, "status": {"phase": "Pending"},
        "spec": {"storageClassName": "lab-shared", "accessModes": ["ReadWriteMany"],
                 "resources": {"requests": {"storage": str(size)}},
                 "dataSourceRef": {"kind": kind, "name": name, **group}, **spec},
    })


def provision(world: World) -> str:
    """Why the new claim is not bound; nothing when it is."""
    reconcile(world.api, volumes.reconcile_claim, "demo/new")
    if phase(world.api.there(PERSISTENT_VOLUME_CLAIM, "demo/new")) == "Bound":
        return ""
    kind, reason, message = world.api.events[-1]
    assert (kind, reason) == ("PersistentVolumeClaim", "ProvisioningFailed")
    return message


def test_a_snapshot_gets_a_content_of_the_default_class_and_becomes_ready(world: World) -> None:
    snapshot(world)
    world.settle(4)
    item = world.api.there(VOLUME_SNAPSHOT, "demo/vs")
    uid = item["metadata"]["uid"]
    assert item["status"]["boundVolumeSnapshotContentName"] == f"snapcontent-{uid}"
    assert (item["status"]["readyToUse"], item["status"]["restoreSize"]) == (True, "1Mi")
    assert item["spec"]["volumeSnapshotClassName"] == "lab-shared"
    content = world.api.there(VOLUME_SNAPSHOT_CONTENT, f"snapcontent-{uid}")
    assert content["spec"]["driver"] == "lab.drainproof.dev/shared"
    assert content["spec"]["volumeSnapshotRef"]["uid"] == uid
    assert world.api.reasons(VOLUME_SNAPSHOT) == ["CreatingSnapshot", "SnapshotCreated", "SnapshotReady"]


def test_a_claim_from_a_snapshot_has_its_content_and_room_for_more(world: World) -> None:
    snapshot(world)
    world.settle(4)
    write(world.disk("data"), b"new")
    claim(world, size=2 * SIZE)
    assert provision(world) == ""
    assert word(world.disk("new")) == b"old"
    assert world.disk("new").stat().st_size == 2 * SIZE


def test_a_claim_smaller_than_the_snapshot_is_refused(world: World) -> None:
    snapshot(world)
    world.settle(4)
    claim(world, size=SIZE // 2)
    assert "requested volume size 524288 is less than the size 1048576 for the source snapshot vs" in provision(world)


def test_a_claim_of_another_volume_mode_is_refused_unless_it_was_allowed(world: World) -> None:
    """Whoever may make claims may not have a node mount what a guest wrote to a raw device."""
    snapshot(world)
    world.settle(4)
    (content,) = world.api.all(VOLUME_SNAPSHOT_CONTENT)
    assert content["spec"]["sourceVolumeMode"] == "Filesystem"
    claim(world, volumeMode="Block")
    assert "requested volume demo/new modifies the mode of the source volume" in provision(world)
    content["metadata"]["annotations"] = {"snapshot.storage.kubernetes.io/allow-volume-mode-change": "true"}
    assert provision(world) == ""


def test_a_claim_of_another_class_is_refused(world: World) -> None:
    world.api.given(STORAGE_CLASS, {"metadata": {"name": "lab-other"}, "provisioner": "lab.drainproof.dev/local"})
    snapshot(world)
    world.settle(4)
    claim(world, storageClassName="lab-other", accessModes=["ReadWriteOnce"])
    assert "is handled by a different CSI driver than requested by StorageClass lab-other" in provision(world)


def test_a_snapshot_that_is_not_ready_fills_no_claim(world: World) -> None:
    world.run()
    snapshot(world)
    world.settle(4)
    assert world.api.copies
    claim(world)
    assert provision(world).endswith("snapshot vs is not Ready")
    assert not world.api.there(PERSISTENT_VOLUME_CLAIM, "demo/new")["spec"].get("volumeName")


def test_a_clone_of_a_claim_in_use_is_refused_and_made_at_rest(world: World) -> None:
    world.run()
    claim(world, "PersistentVolumeClaim", "data")
    assert "cannot be cloned while in use" in provision(world)
    del world.api.objects["VirtualMachineInstance", "demo/vm"]
    assert provision(world) == ""
    assert word(world.disk("new")) == b"old"


def test_a_pod_that_uses_the_disk_holds_a_snapshot_up(world: World) -> None:
    mounted = [{"name": "x", "persistentVolumeClaim": {"claimName": "data"}}]
    world.api.given(POD, {"metadata": {"name": "p"}, "spec": {"volumes": mounted}, "status": {"phase": "Running"}})
    snapshot(world)
    world.settle(4)
    status = world.status(VOLUME_SNAPSHOT, "vs")
    assert (status["readyToUse"], "pod demo/p uses the volume" in status["error"]["message"]) == (False, True)
    assert world.snapshot_files() == []


def test_a_guest_that_starts_during_a_copy_at_rest_voids_it(world: World) -> None:
    snapshot(world)
    world.settle(1)
    (content,) = world.api.all(VOLUME_SNAPSHOT_CONTENT)
    content.pop("status", None)
    world.run()
    world.settle(1)
    assert not (content.get("status") or {}).get("readyToUse")
    world.finish_copies()
    world.settle(4)
    assert world.api.guest_calls


@pytest.mark.parametrize(("change", "text"), [
    ({"volumeSnapshotClassName": "nope"}, '"nope\\" not found"'),
    ({"volumeSnapshotClassName": "lab-local"}, "class lab-local is of driver lab.drainproof.dev/local"),
    ({"source": {"persistentVolumeClaimName": "absent"}}, "cannot get claim from snapshot"),
    ({"source": {"volumeSnapshotContentName": "absent"}}, "VolumeSnapshotContent is missing"),
])
def test_what_cannot_be_snapshotted_says_why(world: World, change: dict[str, Any], text: str) -> None:
    snapshot(world, **change)
    world.settle(2)
    status = world.status(VOLUME_SNAPSHOT, "vs")
    assert (status["readyToUse"], text in status["error"]["message"]) == (False, True)


def test_without_a_class_for_the_driver_there_is_no_snapshot(world: World) -> None:
    del world.api.objects["VolumeSnapshotClass", "lab-shared"]
    snapshot(world)
    world.settle(2)
    assert "cannot find default snapshot class" in world.status(VOLUME_SNAPSHOT, "vs")["error"]["message"]
    assert [item["metadata"]["name"] for item in world.api.all(VOLUME_SNAPSHOT_CLASS)] == ["lab-local"]


def test_a_prepared_content_is_bound_and_fills_a_claim(world: World) -> None:
    snapshot(world)
    world.settle(4)
    handle = world.api.all(VOLUME_SNAPSHOT_CONTENT)[0]["status"]["snapshotHandle"]
    world.api.given(VOLUME_SNAPSHOT_CONTENT, {"metadata": {"name": "kept"}, "spec": {
        "driver": "lab.drainproof.dev/shared", "deletionPolicy": "Retain", "source": {"snapshotHandle": handle},
        "volumeSnapshotRef": {"namespace": "demo", "name": "again"},
    }})
    source = {"volumeSnapshotContentName": "kept"}
    world.api.given(VOLUME_SNAPSHOT, {"metadata": {"name": "again"}, "spec": {"source": source}})
    world.settle(4)
    assert world.status(VOLUME_SNAPSHOT, "again")["readyToUse"] is True
    claim(world, name="again")
    assert provision(world) == ""
    assert word(world.disk("new")) == b"old"


def test_a_deleted_snapshot_takes_its_file_along(world: World) -> None:
    snapshot(world)
    world.settle(4)
    assert world.snapshot_files()
    world.api.there(VOLUME_SNAPSHOT, "demo/vs")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.settle(4)
    assert world.snapshot_files() == []
    assert world.api.all(VOLUME_SNAPSHOT) == []


def test_a_snapshot_that_fills_a_claim_now_is_not_let_go(world: World) -> None:
    snapshot(world)
    world.settle(4)
    claim(world)
    world.api.there(VOLUME_SNAPSHOT, "demo/vs")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.settle(1)
    assert "SnapshotDeletePending" in world.api.reasons(VOLUME_SNAPSHOT)
    assert world.snapshot_files()
    assert world.api.all(VIRTUAL_MACHINE_INSTANCE) == []
