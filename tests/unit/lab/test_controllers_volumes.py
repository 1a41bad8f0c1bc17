"""Claims and volumes of the lab's two storage classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import storage
from lab.client import Object
from lab.config import LabConfig
from lab.controllers import volumes
from lab.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from lab.machinery.objects import phase
from tests.unit.lab.controllers_fake import FakeApi, reconcile

WHERE = "demo/data"


def claim(class_name: str, mode: str, **meta: object) -> Object:
    spec = {"storageClassName": class_name, "accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    return {"metadata": {"name": "data", **meta}, "spec": spec, "status": {"phase": "Pending"}}


@pytest.fixture(name="api")
def classes() -> FakeApi:
    api = FakeApi()
    for body in storage.storage_classes():
        api.given(STORAGE_CLASS, body)
    return api


def bound(api: FakeApi) -> bool:
    return phase(api.there(PERSISTENT_VOLUME_CLAIM, WHERE)) == "Bound"


def test_a_shared_claim_is_bound_at_once_to_a_volume_every_node_sees(api: FakeApi) -> None:
    api.given(PERSISTENT_VOLUME_CLAIM, claim("lab-shared", "ReadWriteMany"))
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert bound(api)
    (volume,) = api.all(PERSISTENT_VOLUME)
    assert volume["spec"]["hostPath"]["path"] == "/nowhere/volumes/shared/uid-PersistentVolumeClaim-data/disk.img"
    assert "nodeAffinity" not in volume["spec"]
    assert phase(volume) == "Bound"


def test_a_local_claim_waits_for_the_scheduler_and_stays_on_its_node(api: FakeApi) -> None:
    api.given(PERSISTENT_VOLUME_CLAIM, claim("lab-local", "ReadWriteOnce"))
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert not bound(api)
    assert api.reasons(PERSISTENT_VOLUME_CLAIM) == ["WaitForFirstConsumer"]
    marks = {"volume.kubernetes.io/selected-node": "node-b"}
    api.there(PERSISTENT_VOLUME_CLAIM, WHERE)["metadata"]["annotations"] = marks
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert bound(api)
    (volume,) = api.all(PERSISTENT_VOLUME)
    assert "/volumes/node-b/" in volume["spec"]["local"]["path"]
    term = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]
    assert term["values"] == ["node-b"]


def test_a_local_claim_cannot_be_shared_and_says_why(api: FakeApi) -> None:
    api.given(PERSISTENT_VOLUME_CLAIM, claim("lab-local", "ReadWriteMany"))
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert not bound(api)
    assert api.events[-1][1] == "ProvisioningFailed"
    assert "ReadWriteMany is not supported" in api.events[-1][2]


def test_a_claim_in_use_is_not_let_go(api: FakeApi) -> None:
    finalizer = ["kubernetes.io/pvc-protection"]
    gone = claim("lab-shared", "ReadWriteMany", deletionTimestamp="2026-01-01T00:00:00Z", finalizers=finalizer)
    api.given(PERSISTENT_VOLUME_CLAIM, gone)
    mounted = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    api.given(POD, {"metadata": {"name": "p"}, "spec": {"volumes": mounted}, "status": {"phase": "Running"}})
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert ("PersistentVolumeClaim", WHERE) in api.objects
    api.there(POD, "demo/p")["status"]["phase"] = "Succeeded"
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert ("PersistentVolumeClaim", WHERE) not in api.objects


def test_a_released_volume_is_removed(api: FakeApi) -> None:
    api.given(PERSISTENT_VOLUME_CLAIM, claim("lab-shared", "ReadWriteMany"))
    reconcile(api, volumes.reconcile_claim, WHERE)
    (volume,) = api.all(PERSISTENT_VOLUME)
    reconcile(api, volumes.reconcile_volume, volume["metadata"]["name"])
    assert api.all(PERSISTENT_VOLUME)
    del api.objects["PersistentVolumeClaim", WHERE]
    reconcile(api, volumes.reconcile_volume, volume["metadata"]["name"])
    assert api.all(PERSISTENT_VOLUME) == []


def test_a_disk_is_sparse_and_made_once(tmp_path: Path) -> None:
    config = LabConfig(state_dir=str(tmp_path))
    path = storage.disk_path(config, "shared", "u1")
    storage.create(path, 1 << 30)
    assert path.stat().st_size == 1 << 30
    assert path.stat().st_blocks == 0
    path.write_text("data")
    storage.create(path, 1 << 30)
    assert path.read_text() == "data"
    assert [entry.name for entry in path.parent.iterdir()] == ["disk.img"]
    storage.remove(config, path)
    assert not path.parent.exists()


def test_only_the_labs_own_volumes_are_ever_removed(tmp_path: Path) -> None:
    config = LabConfig(state_dir=str(tmp_path / "lab"))
    precious = tmp_path / "home" / "x" / "disk.img"
    precious.parent.mkdir(parents=True)
    precious.touch()
    with pytest.raises(ValueError, match="nothing was removed"):
        storage.remove(config, precious)
    assert precious.exists()
