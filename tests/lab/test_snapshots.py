"""A real guest on the shared class: snapshotted while it runs, put back to that state, and cloned beside itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drainproof import spec
from drainproof.api import (
    CLAIMS,
    INSTANCES,
    MACHINE_CLONES,
    MACHINE_RESTORES,
    MACHINE_SNAPSHOTS,
    MACHINES,
    NAMESPACES,
    SECRETS,
    Cluster,
    Object,
    Resource,
)
from drainproof.namespaces import delete_namespace
from drainproof.target import Target
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from tests.contract.kubectl import locate
from tests.lab.lab_access import request

NAMESPACE = "snapshots"
MACHINE = {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "origin"}


class Bench:
    """The machine `origin` on a shared disk, and what the tests do with it."""

    def __init__(self, cluster: Cluster, target: Target) -> None:
        self.cluster, self.target = cluster, target
        cluster.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        cluster.create(SECRETS, spec.secret("init", {"userdata": "#!/bin/sh\n"}), NAMESPACE)
        cluster.create(CLAIMS, spec.claim("data", target.storage_classes.shared, "1Gi"), NAMESPACE)
        wanted = spec.VmSpec(
            name="origin", labels={"app": "origin"}, image=target.guest_image, claim="data", user_data_secret="init",
            ready_path="/healthz",
        )
        cluster.create(MACHINES, wanted.manifest(), NAMESPACE)
        self.ready("origin")

    def ready(self, name: str) -> None:
        """Wait until the guest serves and its agent answers."""
        VirtualMachine(self.cluster, name, NAMESPACE).wait_ready(Deadline(90))
        self.until(INSTANCES, name, lambda item: any(
            entry["type"] == "AgentConnected" for entry in item["status"].get("conditions", [])
        ))

    def start(self, name: str) -> None:
        kubectl = [str(locate()), "--kubeconfig", self.target.kubeconfig, "-n", NAMESPACE]
        change = json.dumps({"spec": {"runStrategy": "Always"}})
        patch = ["patch", "vm", name, "--type", "merge", "-p", change]
        subprocess.run([*kubectl, *patch], check=True, capture_output=True, timeout=60)
        self.ready(name)

    def until(self, resource: Resource, name: str, holds: Any, seconds: float = 60) -> Object:
        found = wait(
            f"{resource.kind} {name} is as wanted", lambda: self.cluster.find(resource, name, NAMESPACE),
            until=lambda item: item is not None and holds(item), deadline=Deadline(seconds),
        )
        assert found is not None
        return found

    def guest(self, name: str, script: str) -> str:
        """Run a script in a guest, through the node it is on; fails the test when the script fails."""
        instance = VirtualMachine(self.cluster, name, NAMESPACE).instance
        assert instance is not None
        node = f"10.77.0.{11 + ord(instance.node[-1]) - ord('a')}"
        url = f"http://{node}:10250/lab/v1/namespaces/{NAMESPACE}/virtualmachineinstances/{name}/exec"
        answer = json.loads(request(self.target, url, json.dumps({"argv": ["/bin/sh", "-ec", script]})))
        assert answer["exitcode"] == 0, answer
        return str(answer["stdout"]).strip()


@pytest.fixture
def cluster(target: Target) -> Cluster:
    """The lab as its owner sees it: what is made here is no run's."""
    return Cluster.connect(Path(target.kubeconfig))


@pytest.fixture
def bench(cluster: Cluster, target: Target) -> Iterator[Bench]:
    try:
        yield Bench(cluster, target)
    finally:
        delete_namespace(cluster, NAMESPACE, Deadline(90))


def test_a_running_guest_is_snapshotted_restored_and_cloned(bench: Bench) -> None:
    """The old content comes back though the guest has overwritten it; the clone has it too, under another MAC."""
    blob = bench.guest("origin", "echo old >/data/marker; head -c 50000000 /dev/urandom >/data/blob; "
                                 "md5sum </data/blob")
    bench.cluster.create(MACHINE_SNAPSHOTS, {"metadata": {"name": "before"}, "spec": {"source": MACHINE}}, NAMESPACE)
    taken = bench.until(MACHINE_SNAPSHOTS, "before", lambda item: item.get("status", {}).get("readyToUse"))
    assert taken["status"]["indications"] == ["GuestAgent", "Online"]
    assert taken["status"]["snapshotVolumes"]["includedVolumes"] == ["data"]
    # Neither frozen any more nor put back: what is written now is not in the snapshot.
    assert bench.guest("origin", "echo new >/data/marker; rm /data/blob; sync; cat /data/marker") == "new"

    restore = {"target": MACHINE, "virtualMachineSnapshotName": "before", "targetReadinessPolicy": "StopTarget"}
    bench.cluster.create(MACHINE_RESTORES, {"metadata": {"name": "back"}, "spec": restore}, NAMESPACE)
    done = bench.until(MACHINE_RESTORES, "back", lambda item: item.get("status", {}).get("complete"))
    (volume,) = done["status"]["restores"]
    assert volume["persistentVolumeClaim"] == f"restore-{done['metadata']['uid']}-data"
    bench.start("origin")
    assert bench.guest("origin", "cat /data/marker; md5sum </data/blob").splitlines() == ["old", blob]

    clone = {"source": MACHINE, "target": {**MACHINE, "name": "twin"}}
    bench.cluster.create(MACHINE_CLONES, {"metadata": {"name": "twin"}, "spec": clone}, NAMESPACE)
    bench.until(MACHINE_CLONES, "twin", lambda item: item.get("status", {}).get("phase") == "Succeeded")
    bench.start("twin")
    both = [bench.guest(name, "cat /data/marker; md5sum </data/blob").splitlines() for name in ("origin", "twin")]
    assert both == [["old", blob], ["old", blob]]
    macs = {bench.guest(name, "cat /sys/class/net/eth0/address || cat /sys/class/net/e*/address")
            for name in ("origin", "twin")}
    assert len(macs) == 2
    bench.guest("twin", "echo twin >/data/marker; sync")
    assert bench.guest("origin", "cat /data/marker") == "old"
