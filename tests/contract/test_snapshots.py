"""Snapshots, restores and clones of a VM that is off, over the API: the lab's API server with its controllers."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drainproof.api import (
    CLAIMS,
    MACHINE_CLONES,
    MACHINE_RESTORES,
    MACHINE_SNAPSHOTS,
    MACHINES,
    NAMESPACES,
    Cluster,
    Resource,
)
from drainproof.wait import Deadline, wait
from lab import storage
from lab.config import LabConfig
from lab.lifecycle import snapshot_classes
from tests.contract import kubectl as kubectl_module
from tests.contract.kubectl import Kubectl
from tests.contract.server import ROOT, ApiServer, running

CLASS = "lab-shared"
SIZE = 1 << 20
_numbers = itertools.count(1)
Object = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the lab's controllers and storage classes, without nodes."""
    folder = tmp_path_factory.mktemp("snapshots")
    with running(folder) as server, (folder / "controllers.log").open("wb") as log:
        for body in storage.storage_classes(LabConfig()):
            assert server.call("POST", "/apis/storage.k8s.io/v1/storageclasses", body).status == 201
        for kind, body in snapshot_classes.objects(LabConfig()):
            assert server.call("POST", kind.path(), body).status == 201
        argv = [sys.executable, "-m", "lab.controllers", "--config", str(server.config.config_file)]
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
        try:
            yield server
            assert process.poll() is None, (folder / "controllers.log").read_text()
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.fixture(scope="module")
def cluster(server: ApiServer) -> Cluster:
    return Cluster.connect(server.config.kubeconfig)


class Desk:
    """A namespace with a halted VM `vm` and its bound claim `data`, whose disk begins with the word `old`."""

    def __init__(self, server: ApiServer, cluster: Cluster, namespace: str) -> None:
        self.server, self.cluster, self.namespace = server, cluster, namespace
        cluster.create(NAMESPACES, {"metadata": {"name": namespace}})
        cluster.create(CLAIMS, {"metadata": {"name": "data"}, "spec": {
            "storageClassName": CLASS, "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": str(SIZE)}},
        }}, namespace)
        self.until(CLAIMS, "data", lambda status: status.get("phase") == "Bound")
        self.write("data", b"old")
        interface = {"name": "default", "bridge": {}, "macAddress": "02:00:00:00:00:07"}
        disks = [{"name": "disk", "disk": {"bus": "virtio"}}]
        template = {"spec": {
            "domain": {"devices": {"disks": disks, "interfaces": [interface]}},
            "networks": [{"name": "default", "pod": {}}],
            "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "data"}}],
        }}
        body = {"metadata": {"name": "vm"}, "spec": {"runStrategy": "Halted", "template": template}}
        cluster.create(MACHINES, body, namespace)

    def until(self, resource: Resource, name: str, holds: Any) -> Object:
        """The object, once its status is as wanted."""
        found = wait(
            f"{resource.kind} {name} is as wanted", lambda: self.cluster.find(resource, name, self.namespace),
            until=lambda item: item is not None and holds(item.get("status") or {}), deadline=Deadline(20),
        )
        assert found is not None
        return dict(found)

    def snapshot(self) -> Object:
        source = {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"}
        body = {"metadata": {"name": "snap"}, "spec": {"source": source}}
        self.cluster.create(MACHINE_SNAPSHOTS, body, self.namespace)
        return self.until(MACHINE_SNAPSHOTS, "snap", lambda status: status.get("readyToUse"))

    def disk(self, claim: str) -> Path:
        found = self.cluster.find(CLAIMS, claim, self.namespace)
        assert found is not None
        volume = self.server.call("GET", f"/api/v1/persistentvolumes/{found['spec']['volumeName']}").body
        return Path(volume["spec"]["hostPath"]["path"])

    def write(self, claim: str, text: bytes) -> None:
        with self.disk(claim).open("r+b") as file:
            file.write(text)

    def read(self, claim: str) -> bytes:
        with self.disk(claim).open("rb") as file:
            return file.read(3)

    def claim_of(self, machine: str) -> str:
        found = self.cluster.find(MACHINES, machine, self.namespace)
        assert found is not None
        return str(found["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"])

    def refused(self, resource: Resource, spec: Object) -> str:
        answer = self.server.call("POST", resource.path(self.namespace), {"metadata": {"name": "x"}, "spec": spec})
        assert answer.status == 422, answer.body
        return str(answer.body["message"])


@pytest.fixture
def desk(server: ApiServer, cluster: Cluster) -> Desk:
    return Desk(server, cluster, f"snapshots-{next(_numbers)}")


VM: Object = {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "vm"}


def test_a_snapshot_is_restored_to_the_same_vm(desk: Desk) -> None:
    """The restored claim has the old content and KubeVirt's name; the VM uses it."""
    snapshot = desk.snapshot()
    assert snapshot["status"]["phase"] == "Succeeded"
    assert snapshot["status"]["snapshotVolumes"] == {"includedVolumes": ["disk"]}
    desk.write("data", b"new")
    body = {"metadata": {"name": "back"}, "spec": {"target": VM, "virtualMachineSnapshotName": "snap"}}
    desk.cluster.create(MACHINE_RESTORES, body, desk.namespace)
    restore = desk.until(MACHINE_RESTORES, "back", lambda status: status.get("complete"))
    assert desk.claim_of("vm") == f"restore-{restore['metadata']['uid']}-disk"
    assert (desk.read(desk.claim_of("vm")), desk.read("data")) == (b"old", b"new")
    assert restore["spec"]["targetReadinessPolicy"] == "WaitGracePeriod"


def test_a_clone_is_another_vm_with_the_same_data(desk: Desk) -> None:
    desk.cluster.create(MACHINE_CLONES, {"metadata": {"name": "twin"}, "spec": {"source": VM}}, desk.namespace)
    clone = desk.until(MACHINE_CLONES, "twin", lambda status: status.get("phase") == "Succeeded")
    target = clone["status"]["targetName"]
    assert target.startswith("clone-vm-")
    made = desk.cluster.find(MACHINES, target, desk.namespace)
    assert made is not None
    template = made["spec"]["template"]["spec"]
    assert template["domain"]["devices"]["interfaces"] == [{"name": "default", "bridge": {}}]
    assert made["spec"]["runStrategy"] == "Halted"
    original = desk.cluster.find(MACHINES, "vm", desk.namespace)
    assert original is not None
    firmware = [item["spec"]["template"]["spec"]["domain"]["firmware"]["uuid"] for item in (made, original)]
    assert firmware[0] != firmware[1]
    assert desk.read(desk.claim_of(target)) == b"old"
    wait(
        "no temporary object is left",
        lambda: [*desk.cluster.items(MACHINE_SNAPSHOTS, desk.namespace),
                 *desk.cluster.items(MACHINE_RESTORES, desk.namespace)],
        until=lambda items: not items, deadline=Deadline(10),
    )


def test_the_webhooks_refuse_in_kubevirts_words(desk: Desk) -> None:
    assert desk.refused(MACHINE_SNAPSHOTS, {"source": {"kind": "VirtualMachine", "name": "vm"}}) == (
        'admission webhook "virtualmachinesnapshot-validator.snapshot.kubevirt.io" denied the request: missing apiGroup'
    )
    assert desk.refused(MACHINE_RESTORES, {"target": {**VM, "kind": "Pod"}, "virtualMachineSnapshotName": "s"}) == (
        'admission webhook "virtualmachinerestore-validator.snapshot.kubevirt.io" denied the request: invalid kind'
    )
    assert desk.refused(MACHINE_CLONES, {"source": VM, "target": VM}).endswith(
        "denied the request: Target name cannot be equal to source name when both are VirtualMachines"
    )
    spec = {"source": VM, "newMacAddresses": {"default": "02:zz"}}
    assert desk.refused(MACHINE_CLONES, spec).endswith("interface default has malformed MAC address (02:zz).")
    assert "spec.virtualMachineSnapshotName: Required value" in desk.refused(MACHINE_RESTORES, {"target": VM})


def test_the_run_strategy_is_fixed_while_a_snapshot_is_made(desk: Desk) -> None:
    base = f"/apis/kubevirt.io/v1/namespaces/{desk.namespace}/virtualmachines/vm"
    merge = {"Content-Type": "application/merge-patch+json"}
    mark = {"status": {"snapshotInProgress": "snap"}}
    assert desk.server.call("PATCH", f"{base}/status", mark, headers=merge).status == 200
    answer = desk.server.call("PATCH", base, {"spec": {"runStrategy": "Always"}}, headers=merge)
    assert answer.status == 422
    assert answer.body["message"].endswith('Cannot update vm running state until snapshot "snap" completes')


def test_kubectl_shows_the_printer_columns(desk: Desk) -> None:
    desk.snapshot()
    kubectl = Kubectl(kubectl_module.locate(), desk.server.config.kubeconfig, desk.namespace)
    heads = {
        "vmsnapshots": "NAME SOURCEKIND SOURCENAME PHASE READYTOUSE CREATIONTIME ERROR",
        "volumesnapshots": "NAME READYTOUSE SOURCEPVC SOURCESNAPSHOTCONTENT RESTORESIZE SNAPSHOTCLASS SNAPSHOTCONTENT "
                           "CREATIONTIME AGE",
    }
    for plural, head in heads.items():
        lines = kubectl("get", plural).splitlines()
        assert lines[0].split() == head.split()
        assert " true " in lines[1]


def test_discovery_names_the_kinds_as_recorded(server: ApiServer) -> None:
    names = ["virtualmachinerestores", "virtualmachinesnapshots", "virtualmachinesnapshotcontents"]
    found = server.call("GET", "/apis/snapshot.kubevirt.io/v1beta1").body["resources"]
    assert {entry["name"] for entry in found} == {*names, *(f"{name}/status" for name in names)}
    (kind,) = [entry for entry in found if entry["name"] == "virtualmachinesnapshots"]
    assert (kind["shortNames"], kind["categories"]) == (["vmsnapshot", "vmsnapshots"], ["all"])
    groups = json.dumps(server.call("GET", "/apis").body)
    assert all(f"{group}/" in groups for group in ("clone.kubevirt.io", "snapshot.storage.k8s.io"))


def test_the_older_version_is_served_beside(server: ApiServer, desk: Desk) -> None:
    """Made, read, listed and watched as v1alpha1; the same object is there as v1beta1, which is preferred."""
    older = f"/apis/snapshot.kubevirt.io/v1alpha1/namespaces/{desk.namespace}/virtualmachinesnapshots"
    body = {"apiVersion": "snapshot.kubevirt.io/v1alpha1", "kind": "VirtualMachineSnapshot",
            "metadata": {"name": "snap"}, "spec": {"source": VM}}
    made = server.call("POST", older, body)
    assert (made.status, made.body["apiVersion"]) == (201, "snapshot.kubevirt.io/v1alpha1")
    desk.until(MACHINE_SNAPSHOTS, "snap", lambda status: status.get("readyToUse"))
    listed = server.call("GET", older).body
    assert {listed["apiVersion"], listed["items"][0]["apiVersion"]} == {"snapshot.kubevirt.io/v1alpha1"}
    (event, *_) = server.watch(f"{older}?watch=true&timeoutSeconds=1")
    assert event["object"]["apiVersion"] == "snapshot.kubevirt.io/v1alpha1"
    found = desk.cluster.find(MACHINE_SNAPSHOTS, "snap", desk.namespace)
    assert found is not None
    assert found["apiVersion"] == "snapshot.kubevirt.io/v1beta1"
    group = server.call("GET", "/apis/snapshot.kubevirt.io").body
    assert [entry["version"] for entry in group["versions"]] == ["v1beta1", "v1alpha1"]
    assert group["preferredVersion"]["version"] == "v1beta1"
    resources = server.call("GET", "/apis/clone.kubevirt.io/v1alpha1").body["resources"]
    assert [entry["name"] for entry in resources] == ["virtualmachineclones", "virtualmachineclones/status"]
