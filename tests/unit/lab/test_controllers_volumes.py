"""Claims and volumes of the storage classes that need no server."""

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
def classes(tmp_path: Path) -> FakeApi:
    api = FakeApi()
    api.state_dir = str(tmp_path)
    for body in storage.storage_classes(LabConfig()):
        api.given(STORAGE_CLASS, body)
    return api


def bound(api: FakeApi) -> bool:
    return phase(api.there(PERSISTENT_VOLUME_CLAIM, WHERE)) == "Bound"


def test_a_shared_claim_is_bound_at_once_to_a_volume_every_node_sees(api: FakeApi) -> None:
    api.given(PERSISTENT_VOLUME_CLAIM, claim("lab-shared", "ReadWriteMany"))
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert bound(api)
    (volume,) = api.all(PERSISTENT_VOLUME)
    path = Path(volume["spec"]["hostPath"]["path"])
    assert path == Path(api.state_dir, "volumes/shared/uid-PersistentVolumeClaim-data/disk.img")
    assert path.stat().st_size == 1 << 30
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


@pytest.mark.parametrize("name", ["ceph", "iscsi"])
@pytest.mark.parametrize("mode", [{}, {"volumeMode": "Filesystem"}])
def test_block_storage_shares_no_file_system_and_says_why(api: FakeApi, name: str, mode: dict[str, str]) -> None:
    """As the provisioners of Ceph RBD and of iSCSI: the claim stays Pending until it asks for a raw device."""
    api.storage = (name,)
    for body in storage.storage_classes(LabConfig(storage=api.storage)):
        api.given(STORAGE_CLASS, body)
    wanted = claim(f"lab-{name}", "ReadWriteMany")
    wanted["spec"] |= mode
    api.given(PERSISTENT_VOLUME_CLAIM, wanted)
    reconcile(api, volumes.reconcile_claim, WHERE)
    assert phase(api.there(PERSISTENT_VOLUME_CLAIM, WHERE)) == "Pending"
    assert api.all(PERSISTENT_VOLUME) == []
    assert api.events[-1][1] == "ProvisioningFailed"
    assert f'StorageClass "lab-{name}": access mode ReadWriteMany is only supported' in api.events[-1][2]
    assert "volumeMode Block" in api.events[-1][2]


@pytest.mark.parametrize("mode", ["Block", "Filesystem"])
def test_a_volume_has_the_mode_of_its_claim(api: FakeApi, mode: str) -> None:
    wanted = claim("lab-shared", "ReadWriteMany")
    wanted["spec"]["volumeMode"] = mode
    api.given(PERSISTENT_VOLUME_CLAIM, wanted)
    reconcile(api, volumes.reconcile_claim, WHERE)
    (volume,) = api.all(PERSISTENT_VOLUME)
    assert volume["spec"]["volumeMode"] == mode


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
    assert not Path(volume["spec"]["hostPath"]["path"]).exists()
