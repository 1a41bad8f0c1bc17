"""Copies of a machine's disk: what is asked of the cluster, what proves that it was done, and what does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drainproof import spec
from drainproof.api import (
    CLAIMS,
    INSTANCES,
    MACHINE_CLONES,
    MACHINE_RESTORES,
    MACHINE_SNAPSHOTS,
    MACHINES,
    STORAGE_CLASSES,
    VOLUME_SNAPSHOT_CLASSES,
    Cluster,
    Object,
    Resource,
)
from drainproof.errors import DrainproofError, NotFoundError, UnexpectedStateError, WaitTimeoutError
from drainproof.record import EventLog
from drainproof.settings import Profile
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from fixtures.bench import longest_seconds
from fixtures.bench_machine import machine_spec
from fixtures.certification import Certification
from fixtures.storage import delete_copies, why_no_snapshots
from scenarios.bench import Guest, Line
from scenarios.boot_storm import BootStorm
from scenarios.disk_copies import Clone, Restore, Snapshot
from scenarios.power_cut import power_cut
from tests.unit.harness.fakes import FakeClock

READY = {"phase": "Succeeded", "readyToUse": True, "indications": ["Online", "GuestAgent"],
         "snapshotVolumes": {"includedVolumes": ["data"]}}
COMPLETE = {"complete": True}


@dataclass
class Machines:
    """A cluster whose machines run as they are told, and whose copies end as a test says."""

    ends: dict[str, Any] = field(default_factory=dict)
    """The status of each kind of copy."""
    running: dict[str, str] = field(default_factory=lambda: {"bench-0": "uid-1"})
    """The uid of each machine's instance."""
    made: list[tuple[str, Object]] = field(default_factory=list)
    patched: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    same_mac: bool = False

    def create(self, resource: Resource, body: Object, namespace: str) -> Object:
        assert resource not in (CLAIMS, MACHINES)
        self.made.append((resource.kind, body))
        return body

    def apply(self, resource: Resource, body: Object, namespace: str) -> Object:
        assert resource in (CLAIMS, MACHINES)
        self.made.append((resource.kind, body))
        if resource == MACHINES:
            self.running[body["metadata"]["name"]] = "uid-new"
        return body

    def get(self, resource: Resource, name: str, namespace: str) -> Object:
        if resource == INSTANCES:
            found = self.find(resource, name, namespace)
            assert found is not None
            return found
        return {"metadata": {"name": name}, "status": self.ends.get(resource.kind, {})}

    def find(self, resource: Resource, name: str, namespace: str) -> Object | None:
        assert resource in (INSTANCES, MACHINES)
        if name not in self.running:
            return None
        mac = "02:00:00:00:00:01" if self.same_mac or name == "bench-0" else "02:00:00:00:00:02"
        claim = "bench-0-data" if name == "bench-0" else "restore-1-data"
        volumes = [{"name": "root"}, {"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        return {"metadata": {"name": name, "uid": self.running[name]}, "spec": {"volumes": volumes}, "status": {
            "phase": "Running", "nodeName": "node-a", "interfaces": [{"ipAddress": "10.0.0.9", "mac": mac}],
            "conditions": [{"type": "Ready", "status": "True"}]}}

    def patch(self, resource: Resource, name: str, patch: Any, namespace: str) -> Object:
        assert resource == MACHINES
        strategy = patch["spec"]["runStrategy"]
        self.patched.append((name, strategy))
        if strategy == "Halted":
            self.running.pop(name, None)
        else:
            self.running.setdefault(name, f"uid-{len(self.patched)}")
        return {}

    def delete(self, resource: Resource, name: str, namespace: str) -> None:
        self.deleted.append(f"{resource.kind} {name}")
        if resource == MACHINES:
            self.running.pop(name, None)


@dataclass(frozen=True)
class Answering(Guest):
    """A guest that answers at once."""

    def hello(self, deadline: Deadline, given_up: Callable[[], bool] = bool) -> tuple[Line, dict[str, Any]]:
        return Line(10**18, "{}"), {"boot_id": f"boot-of-{self.vm}"}


def guest_of(vm: str, address: str) -> Guest:
    return Answering(vm=vm, address=address)


def machine(cluster: Machines) -> VirtualMachine:
    return VirtualMachine(cast(Cluster, cluster), "bench-0", "ns")


def snapshot(cluster: Machines) -> Snapshot:
    return Snapshot(cluster=cast(Cluster, cluster), machine=machine(cluster), name="snap")


def restore(cluster: Machines) -> Restore:
    return Restore(
        cluster=cast(Cluster, cluster), machine=machine(cluster), snapshot="snap", name="back", guest_of=guest_of
    )


def clone(cluster: Machines) -> Clone:
    return Clone(cluster=cast(Cluster, cluster), machine=machine(cluster), name="copy", guest_of=guest_of)


def soon() -> Deadline:
    return Deadline(5, FakeClock())


def test_a_snapshot_is_there_once_it_can_be_used() -> None:
    """Of the machine by name; the machine runs on as it was."""
    cluster = Machines({"VirtualMachineSnapshot": READY})
    fault = snapshot(cluster)
    told = fault.inject(soon())
    assert told["ready_ns"] >= told["requested_ns"] > 0
    assert told["indications"] == ["Online", "GuestAgent"]
    assert cluster.made == [("VirtualMachineSnapshot", {
        "metadata": {"name": "snap"},
        "spec": {"source": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "bench-0"}},
    })]
    assert fault.heal(soon())["instance"] == "uid-1"


@pytest.mark.parametrize(("status", "error"), [
    ({"phase": "InProgress", "readyToUse": False}, WaitTimeoutError),
    ({"phase": "Failed", "readyToUse": False}, UnexpectedStateError),
    ({**READY, "snapshotVolumes": {"excludedVolumes": ["data"]}}, UnexpectedStateError),
    ({**READY, "snapshotVolumes": {"includedVolumes": ["root"]}}, UnexpectedStateError),
    ({**READY, "snapshotVolumes": {}}, UnexpectedStateError),
    ({"phase": "Succeeded", "readyToUse": True}, UnexpectedStateError),
])
def test_a_snapshot_without_the_disk_is_none(status: Object, error: type[DrainproofError]) -> None:
    """One that never comes, that fails, and one that leaves out what it is for."""
    with pytest.raises(error):
        snapshot(Machines({"VirtualMachineSnapshot": status})).inject(soon())


def test_a_restore_stops_restores_and_starts() -> None:
    """In that order; another instance answers afterwards."""
    cluster = Machines({"VirtualMachineRestore": COMPLETE})
    fault = restore(cluster)
    told = fault.inject(soon())
    assert cluster.patched == [("bench-0", "Halted"), ("bench-0", "Always")]
    assert cluster.made[0][1]["spec"] == {
        "target": {"apiGroup": "kubevirt.io", "kind": "VirtualMachine", "name": "bench-0"},
        "virtualMachineSnapshotName": "snap",
    }
    assert (told["snapshot"], told["answered_ns"], told["address"]) == ("snap", 10**18, "10.0.0.9")
    assert fault.heal(soon())["instance"] == "uid-2"


def test_the_machines_of_a_bench_have_no_time_to_shut_down() -> None:
    """Their guests would write down what they remember, and a second reading would prove nothing more."""
    plan = SimpleNamespace(image="i", nodes=())
    certification = SimpleNamespace(plan=plan, profile=Profile(name="x"))
    assert machine_spec(cast("Certification", certification), "bench-0").grace_seconds == 0


def test_a_power_cut_stops_and_starts_and_tells_of_the_other_boot(tmp_path: Path) -> None:
    """In that order; the guest is asked at the address that it has then."""
    cluster = Machines()
    events = EventLog(tmp_path / "events.jsonl")
    found = power_cut(machine(cluster), guest_of, events, soon())
    events.close()
    assert cluster.patched == [("bench-0", "Halted"), ("bench-0", "Always")]
    assert (found.vm, found.address) == ("bench-0", "10.0.0.9")
    begin, end = (json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert (begin["source"], begin["kind"], end["kind"]) == ("power-cut", "begin", "end")
    assert end["data"]["boot_id"] == "boot-of-bench-0"


@pytest.mark.parametrize(("status", "error"), [
    ({}, WaitTimeoutError),
    ({"conditions": [{"type": "Failure", "status": "True"}]}, UnexpectedStateError),
])
def test_a_restore_that_fails_leaves_the_machine_running(status: Object, error: type[DrainproofError]) -> None:
    """It is started again, whatever became of it."""
    cluster = Machines({"VirtualMachineRestore": status})
    fault = restore(cluster)
    with pytest.raises(error):
        fault.inject(soon())
    fault.heal(soon())
    assert "bench-0" in cluster.running


def test_a_clone_is_started_asked_and_removed() -> None:
    """Both MACs are told; no address that the original asked for goes with it."""
    cluster = Machines({"VirtualMachineClone": {"phase": "Succeeded"}})
    fault = clone(cluster)
    told = fault.inject(soon())
    assert told["mac"] == {"bench-0": "02:00:00:00:00:01", "copy": "02:00:00:00:00:02"}
    assert told["claims"] == {"bench-0": "bench-0-data", "copy": "restore-1-data"}
    assert fault.guest.vm == "copy"
    wanted = cluster.made[0][1]["spec"]
    assert wanted["target"]["name"] == "copy"
    assert wanted["template"]["annotationFilters"] == ["*", f"!{spec.REQUESTED_ADDRESSES}"]
    fault.heal(soon())
    assert cluster.deleted == ["VirtualMachineClone copy", "VirtualMachine copy"]
    assert set(cluster.running) == {"bench-0"}


def test_a_clone_that_fails_has_no_guest() -> None:
    """Nothing is read of a machine that is not there."""
    fault = clone(Machines({"VirtualMachineClone": {"phase": "Failed"}}))
    with pytest.raises(UnexpectedStateError, match="clone copy of bench-0"):
        fault.inject(soon())
    with pytest.raises(DrainproofError, match="never answered"):
        _ = fault.guest
    fault.heal(soon())


def test_a_storm_is_over_when_the_last_answers() -> None:
    """All are asked for before one is waited for, and all are removed with their disks."""
    cluster = Machines(running={})
    specs = [spec.VmSpec(name=name, labels={}, image="i", claim=f"{name}-data", user_data_secret="s")
             for name in ("storm-0", "storm-1")]
    claims = [spec.claim(f"{one.name}-data", "shared", "1Gi") for one in specs]
    fault = BootStorm(
        cluster=cast(Cluster, cluster), namespace="ns", machines=specs, claims=claims, guest_of=guest_of
    )
    told = fault.inject(soon())
    assert set(told["answered_ns"]) == {"storm-0", "storm-1"}
    assert told["boot_ids"] == {"storm-0": "boot-of-storm-0", "storm-1": "boot-of-storm-1"}
    assert [kind for kind, _ in cluster.made] == [CLAIMS.kind] * 2 + [MACHINES.kind] * 2
    fault.heal(soon())
    assert sorted(cluster.deleted) == [
        "PersistentVolumeClaim storm-0-data", "PersistentVolumeClaim storm-1-data",
        "VirtualMachine storm-0", "VirtualMachine storm-1",
    ]


def test_a_storm_of_which_one_fails_asks_the_others_no_more() -> None:
    """As when the run is broken off: whoever asks would go on for minutes."""
    asked, ended = Event(), Event()

    @dataclass(frozen=True)
    class Silent(Guest):
        def hello(self, deadline: Deadline, given_up: Callable[[], bool] = bool) -> tuple[Line, dict[str, Any]]:
            if self.vm == "storm-0":
                assert asked.wait(20)
                raise DrainproofError("never answers")
            asked.set()
            wait("the asking is given up", given_up, until=bool, deadline=Deadline(20), every=0.01)
            ended.set()
            raise DrainproofError("given up")

    specs = [spec.VmSpec(name=name, labels={}, image="i", claim=f"{name}-data", user_data_secret="s")
             for name in ("storm-0", "storm-1")]
    fault = BootStorm(
        cluster=cast(Cluster, Machines(running={})), namespace="ns", machines=specs, claims=(),
        guest_of=lambda vm, address: Silent(vm=vm, address=address),
    )
    with pytest.raises(DrainproofError, match="never answers"):
        fault.inject(soon())
    assert ended.is_set()


def test_copies_go_before_what_they_were_made_of() -> None:
    """Clones and restores, then snapshots; a kind that the cluster does not serve holds nothing up."""
    left = {"VirtualMachineSnapshot": ["snap"], "VirtualMachineRestore": ["back"]}
    gone: list[str] = []

    class Copies:
        def items(self, resource: Resource, namespace: str) -> list[Object]:
            if resource == MACHINE_CLONES:
                raise NotFoundError("GET", 404, "NotFound", "no such API")
            return [{"metadata": {"name": name}} for name in left[resource.kind]]

        def delete(self, resource: Resource, name: str, namespace: str) -> None:
            left[resource.kind].remove(name)
            gone.append(name)

    delete_copies(cast(Cluster, Copies()), "ns", soon())
    assert gone == ["back", "snap"]


def test_an_operation_is_waited_for_beyond_its_limit() -> None:
    """Otherwise a limit that is above the budgets could never be failed."""
    profile = Profile(name="p")
    assert longest_seconds(profile, "clone") > profile.limits.clone_seconds
    assert longest_seconds(profile, "boot-storm") > profile.limits.boot_storm_seconds
    assert longest_seconds(profile, "migration") == 0


def answering(found: Callable[[], list[Object]]) -> Cluster:
    class Classes:
        def items(self, resource: Resource) -> list[Object]:
            assert resource == VOLUME_SNAPSHOT_CLASSES
            return found()

        def get(self, resource: Resource, name: str) -> Object:
            assert resource == STORAGE_CLASSES
            return {"provisioner": "driver-a"}

    return cast(Cluster, Classes())


def _missing() -> list[Object]:
    raise NotFoundError("GET", 404, "NotFound", "no such API")


@pytest.mark.parametrize(("found", "reason"), [
    (lambda: [{"driver": "driver-b"}, {"driver": "driver-a"}], ""),
    (lambda: [{"driver": "driver-b"}], "no VolumeSnapshotClass has the driver driver-a of storage class fast"),
    (list, "no VolumeSnapshotClass has the driver"),
    (_missing, "has no snapshots of storage class fast: no such API"),
])
def test_why_a_class_has_no_snapshots(found: Callable[[], list[Object]], reason: str) -> None:
    """The snapshot class has to have the storage class's driver; without one the case is not run."""
    told = why_no_snapshots(answering(found), "fast")
    assert reason in told
    assert bool(reason) == bool(told)


def test_what_is_asked_for_is_served_under_its_group() -> None:
    """KubeVirt's own groups and versions."""
    assert MACHINE_SNAPSHOTS.path("ns").endswith("snapshot.kubevirt.io/v1beta1/namespaces/ns/virtualmachinesnapshots")
    assert MACHINE_RESTORES.path("ns").endswith("snapshot.kubevirt.io/v1beta1/namespaces/ns/virtualmachinerestores")
    assert MACHINE_CLONES.path("ns").endswith("clone.kubevirt.io/v1beta1/namespaces/ns/virtualmachineclones")
