"""kubectl, as the distribution ships it, drains a node of the lab: it is refused, retries, and the guest has moved."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from drainproof import spec
from drainproof.api import CLAIMS, MACHINES, MIGRATIONS, NAMESPACES, SECRETS, Cluster
from drainproof.namespaces import delete_namespace
from drainproof.node import Node
from drainproof.target import Target
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from tests.contract.kubectl import locate
from tests.lab.lab_access import request

NAMESPACE = "kubectl-drain"


@pytest.fixture
def cluster(target: Target) -> Cluster:
    """The lab as its owner sees it: what is made here is no run's."""
    return Cluster.connect(Path(target.kubeconfig))


@pytest.fixture
def machine(cluster: Cluster, target: Target) -> Iterator[VirtualMachine]:
    """A virtual machine on a shared disk, Ready."""
    cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    cluster.create(SECRETS, spec.secret("init", {"userdata": "#!/bin/sh\n"}), NAMESPACE)
    cluster.create(CLAIMS, spec.claim("data", target.storage_classes.shared, "1Gi"), NAMESPACE)
    wanted = spec.VmSpec(
        name="drained", labels={"app": "drained"}, image=target.guest_image, claim="data", user_data_secret="init",
        ready_path="/healthz",
    )
    cluster.create(MACHINES, wanted.manifest(), NAMESPACE)
    machine = VirtualMachine(cluster, "drained", NAMESPACE)
    try:
        machine.wait_ready(Deadline(90))
        yield machine
    finally:
        delete_namespace(cluster, NAMESPACE, Deadline(60))


def test_kubectl_drain_migrates_the_guest(machine: VirtualMachine, cluster: Cluster, target: Target) -> None:
    """The eviction is refused with 429 in KubeVirt's words; a later try finds the launcher finished, the guest gone."""
    before = machine.instance
    assert before is not None
    kubectl = [str(locate()), "--kubeconfig", target.kubeconfig]
    try:
        drain = ["drain", before.node, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=120s"]
        done = subprocess.run([*kubectl, *drain], capture_output=True, text=True, timeout=150, check=False)
    finally:
        Node(cluster, before.node).uncordon()
    assert done.returncode == 0, done.stderr
    assert f"node/{before.node} cordoned" in done.stdout
    assert "(will retry after 5s)" in done.stderr
    assert 'Eviction triggered evacuation of VMI "kubectl-drain/drained"' in done.stderr
    after = machine.wait_ready(Deadline(30))
    assert (after.uid, after.migration and after.migration.get("completed")) == (before.uid, True)
    assert after.node != before.node
    migration = cluster.items(MIGRATIONS, NAMESPACE)[0]
    assert migration["metadata"]["name"].startswith("kubevirt-evacuation-")
    phases = [stamp["phase"] for stamp in migration["status"]["phaseTransitionTimestamps"]]
    assert phases == ["Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded"]


def test_a_disk_survives_a_restart(machine: VirtualMachine, target: Target) -> None:
    """What a guest has written to its claim is there after a cold restart, as a new instance with another boot."""
    before = machine.instance
    assert before is not None
    first = _identity(target, before.address)
    kubectl = [str(locate()), "--kubeconfig", target.kubeconfig, "-n", NAMESPACE]
    marker = _guest(target, machine, "echo kept >/data/marker; sync; cat /data/marker")
    assert marker == "kept"
    subprocess.run([*kubectl, "delete", "vmi", "drained"], check=True, capture_output=True, timeout=90)
    after = wait(
        "the machine is Ready as a new instance",
        lambda: machine.instance,
        until=lambda seen: seen is not None and seen.uid != before.uid and seen.ready,
        deadline=Deadline(90),
    )
    assert after is not None
    assert _identity(target, after.address) != first
    assert _guest(target, machine, "cat /data/marker") == "kept"


def _identity(target: Target, address: str) -> str:
    return str(json.loads(request(target, f"http://{address}/identity"))["boot_id"])


def _guest(target: Target, machine: VirtualMachine, script: str) -> str:
    """Run a script in the guest through its agent, as the lab's node offers it inside the lab's network."""
    instance = machine.instance
    assert instance is not None
    node = f"10.77.0.{11 + ord(instance.node[-1]) - ord('a')}"
    url = f"http://{node}:10250/lab/v1/namespaces/{NAMESPACE}/virtualmachineinstances/drained/exec"
    answer = request(target, url, json.dumps({"argv": ["/bin/sh", "-c", script]}))
    return str(json.loads(answer)["stdout"]).strip()
