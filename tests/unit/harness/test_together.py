"""Several faults as one, an empty disk, and a machine too many: what they do to a cluster, and that they undo it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from drainproof.api import CLAIMS, INSTANCES, MACHINES, NODES, SECRETS, Cluster, Object, Resource
from drainproof.errors import DrainproofError, UnexpectedStateError
from drainproof.journal import Journal
from drainproof.spec import VmSpec, claim, secret
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.extra_machine import ExtraMachine
from scenarios.fault import Proof
from scenarios.fresh_disk import FreshDisk
from scenarios.together import Together
from tests.unit.harness.fakes import FakeClock


@dataclass
class Part:
    """A fault that keeps a diary."""

    target: str
    diary: list[str]
    fails: str = ""
    kind = "kill"

    def inject(self, deadline: Deadline) -> Proof:
        return self._do("inject")

    def heal(self, deadline: Deadline) -> Proof:
        return self._do("heal")

    def _do(self, what: str) -> Proof:
        self.diary.append(f"{what} {self.target}")
        if self.fails == what:
            raise DrainproofError(f"{self.target} would not")
        return {"done": what}


def test_faults_together_are_one_fault() -> None:
    """One kind, all targets, each one's own proof; healed in the order in which they were injected."""
    diary: list[str] = []
    fault = Together([Part("a", diary), Part("b", diary)])
    assert (fault.kind, fault.target) == ("kill", "a,b")
    proof = fault.inject(Deadline(1))
    fault.heal(Deadline(1))
    assert diary == ["inject a", "inject b", "heal a", "heal b"]
    assert [part["target"] for part in proof["together"]] == ["a", "b"]


def test_each_part_that_was_begun_is_healed_whatever_the_others_do() -> None:
    """The third was never begun; the first does not heal, the second does all the same."""
    diary: list[str] = []
    fault = Together([Part("a", diary, "heal"), Part("b", diary, "inject"), Part("c", diary)])
    with pytest.raises(DrainproofError, match="b would not"):
        fault.inject(Deadline(1))
    with pytest.raises(DrainproofError, match="a would not"):
        fault.heal(Deadline(1))
    assert diary == ["inject a", "inject b", "heal a", "heal b"]


@dataclass
class SmallCluster:
    """Objects by kind and name; a machine's instance follows its run strategy, unless there is no place for it."""

    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    status: str = "ErrorUnschedulable"
    calls: list[str] = field(default_factory=list)
    started: int = 1

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        if resource == INSTANCES:
            if self.objects[MACHINES.plural, name]["spec"]["runStrategy"] == "Halted":
                return None
            ready = {"type": "Ready", "status": "True"}
            return {"metadata": {"name": name, "uid": f"i-{self.started}"}, "status": {"conditions": [ready]}}
        return self.objects.get((resource.plural, name))

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        found = dict(self.objects[resource.plural, name])
        return {**found, "status": {"printableStatus": self.status}} if resource == MACHINES else found

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        assert (resource.plural, body["metadata"]["name"]) not in self.objects
        return self._make("create", resource, body)

    def apply(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        return self._make("apply", resource, body)

    def _make(self, verb: str, resource: Resource, body: Object) -> Object:
        name = body["metadata"]["name"]
        self.calls.append(f"{verb} {resource.plural} {name}")
        kept = {**body, "metadata": {**body["metadata"], "uid": f"new-{name}"}}
        self.objects[resource.plural, name] = kept
        return kept

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self.calls.append(f"delete {resource.plural} {name}")
        self.objects.pop((resource.plural, name), None)

    def patch(self, resource: Resource, name: str, patch: dict[str, Any], namespace: str | None = None) -> Object:
        self.calls.append(f"patch {name} {patch['spec']}")
        found = self.objects[resource.plural, name]
        found["spec"] = {**found["spec"], **patch["spec"]}
        self.started += patch["spec"].get("runStrategy") == "Always"
        return found


def test_a_fresh_disk_is_the_same_claim_without_its_volume() -> None:
    """The machine is stopped before its claim goes, and runs as another instance on the empty one."""
    old = {**claim("db-data", "rwx", "2Gi"), "metadata": {"name": "db-data", "uid": "old"}}
    old["spec"] = {**old["spec"], "volumeName": "pv-7"}
    cluster = SmallCluster({
        (CLAIMS.plural, "db-data"): old, (MACHINES.plural, "db"): {"spec": {"runStrategy": "Always"}},
    })
    machine = VirtualMachine(cast(Cluster, cluster), "db", "ns")
    fault = FreshDisk(cluster=cast(Cluster, cluster), machine=machine, claim="db-data")
    proof = fault.inject(Deadline(10, FakeClock()))
    assert (proof["old_claim"], proof["new_claim"], proof["instance"]) == ("old", "new-db-data", "i-1")
    assert cluster.objects[CLAIMS.plural, "db-data"]["spec"] == claim("db-data", "rwx", "2Gi")["spec"]
    assert cluster.calls == [
        "patch db {'runStrategy': 'Halted'}", "delete persistentvolumeclaims db-data",
        "create persistentvolumeclaims db-data", "patch db {'runStrategy': 'Always'}",
    ]
    assert fault.heal(Deadline(10, FakeClock()))["instance"] != "i-1"


def extra(cluster: SmallCluster, directory: Path) -> ExtraMachine:
    spec = VmSpec(name="extra", labels={}, image="i", claim="extra-data", user_data_secret="extra-init")
    return ExtraMachine(
        cluster=cast(Cluster, cluster), namespace="ns", machine=spec, claim=claim("extra-data", "rwx", "1Gi"),
        secret=secret("extra-init", {}), nodes=("node-d",), journal=Journal.of(directory),
    )


def small_cluster(status: str) -> SmallCluster:
    conditions = [{"type": "Ready", "status": "True"}]
    node = {"metadata": {"name": "node-d"}, "spec": {}, "status": {"conditions": conditions}}
    return SmallCluster({(NODES.plural, "node-d"): node}, status)


def test_a_machine_too_many_is_removed_and_its_nodes_freed(tmp_path: Path) -> None:
    """While it waits the free nodes are cordoned, and the journal says so; afterwards nothing is left."""
    cluster = small_cluster("ErrorUnschedulable")
    fault = extra(cluster, tmp_path)
    assert fault.inject(Deadline(10, FakeClock()))["status"] == "ErrorUnschedulable"
    assert fault.journal.cordoned == ["node-d"]
    assert fault.heal(Deadline(10, FakeClock()))["status"] == "ErrorUnschedulable"
    assert fault.journal.cordoned == []
    assert [key for key in cluster.objects if key[0] in (MACHINES.plural, CLAIMS.plural, SECRETS.plural)] == []


def test_a_machine_too_many_that_runs_is_no_proof(tmp_path: Path) -> None:
    """It was to wait; when it runs the fault has not happened, and is undone all the same."""
    cluster = small_cluster("Running")
    fault = extra(cluster, tmp_path)
    with pytest.raises(UnexpectedStateError, match="extra finds no node"):
        fault.inject(Deadline(10, FakeClock()))
    with pytest.raises(UnexpectedStateError, match="extra waited for a node to the end"):
        fault.heal(Deadline(10, FakeClock()))
    assert list(cluster.objects) == [(NODES.plural, "node-d")]
    assert fault.journal.cordoned == []
