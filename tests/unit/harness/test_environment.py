"""The surroundings of a run, as far as they may change a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drainproof.errors import ApiError
from drainproof.target import Target
from fixtures import environment as surroundings
from fixtures.environment import (
    cpu_model,
    environment,
    host,
    instrument,
    migration_limits,
    nodes,
    parameters_digest,
    whole_gib,
)


def node(kernel: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"node-{kernel}"},
        "status": {
            "capacity": {"cpu": "8", "memory": "32Gi"},
            "nodeInfo": {"kernelVersion": kernel, "kubeletVersion": "v1.36.2", "bootID": "changes with every boot"},
        },
    }


class FakeCluster:
    """Answers with one list for each kind, or refuses."""

    def __init__(self, **lists: Any) -> None:
        self.lists = lists

    def items(self, resource: Any) -> Any:
        found = self.lists[resource.plural]
        if isinstance(found, Exception):
            raise found
        return found


def test_nodes_that_are_alike_are_counted() -> None:
    first, second = nodes([node("6.1"), node("6.2"), node("6.1")])
    assert (first["kernelVersion"], first["count"], first["memory"]) == ("6.1", 2, "32Gi")
    assert (second["kernelVersion"], second["count"]) == ("6.2", 1)
    assert "bootID" not in first


def test_nodes_that_take_no_machines_are_no_condition() -> None:
    """An autoscaler's pool of other workers comes and goes; what KubeVirt runs machines on stays."""
    machines, others = node("6.1"), node("6.2")
    machines["metadata"]["labels"] = {"kubevirt.io/schedulable": "true"}
    for one in (machines, others):
        one["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert nodes([machines, others]) == nodes([machines])
    assert len(nodes([others])) == 1


@pytest.mark.parametrize(
    ("quantity", "told"),
    [
        ("263837228Ki", "252Gi"), ("263837220Ki", "252Gi"), ("32Gi", "32Gi"), ("34359738368", "32Gi"),
        ("34359738k", "32Gi"), ("100Mi", "100Mi"), ("", ""), ("<script>", "<script>"), ("1e9", "1e9"),
    ],
)
def test_memory_is_told_in_whole_gib(quantity: str, told: str) -> None:
    """A kernel that keeps some KiB more for itself makes no other machine; what is no quantity stays as it is."""
    assert whole_gib(quantity) == told


def test_nodes_whose_memory_differs_by_some_kib_are_of_one_kind() -> None:
    first, second = node("6.1"), node("6.1")
    first["status"]["capacity"]["memory"], second["status"]["capacity"]["memory"] = "263837228Ki", "263837220Ki"
    (kind,) = nodes([first, second])
    assert (kind["memory"], kind["count"]) == ("252Gi", 2)


def test_other_parameters_have_another_digest_and_secrets_none() -> None:
    """Two classes of one name are told apart; what a password is cannot be found by trying."""
    digest = parameters_digest({"pool": "a", "replicas": "3"})
    assert digest == parameters_digest({"replicas": "3", "pool": "a"})
    assert digest != parameters_digest({"pool": "a", "replicas": "2"})
    assert digest == parameters_digest({"pool": "a", "replicas": "3", "restUserPassword": "one"})
    assert digest == parameters_digest({"pool": "a", "replicas": "3", "adminKey": "one"})


class Unsteady(FakeCluster):
    """Refuses a number of times before it answers."""

    def __init__(self, times: int, **lists: Any) -> None:
        super().__init__(**lists)
        self.times = times

    def items(self, resource: Any) -> Any:
        self.times -= 1
        if self.times >= 0:
            raise ApiError("GET", 503, "Unavailable", "a moment")
        return super().items(resource)


def test_trouble_of_a_moment_is_no_property_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again; what lasts is told as it is."""
    lists: Any = {"nodes": [node("6.1")], "kubevirts": [], "storageclasses": []}
    soon: Any = Unsteady(2, **lists)
    assert environment(soon, Target(name="made"), "fast", 1, {})["nodes"][0]["count"] == 1
    monkeypatch.setattr(surroundings, "ANSWER_SECONDS", 0.1)
    never: Any = Unsteady(10**9, **lists)
    assert "503" in environment(never, Target(name="made"), "fast", 1, {})["nodes"]["unknown"]


def test_migration_limits_are_those_of_the_kubevirt_object() -> None:
    limits = {"bandwidthPerMigration": "64Mi"}
    assert migration_limits([{"spec": {"configuration": {"migrations": limits}}}]) == limits
    assert migration_limits([{"spec": {}}]) == {}
    assert migration_limits([]) == {}


def test_what_the_cluster_refuses_to_tell_is_told_and_a_class_without_its_parameters() -> None:
    classes = [{"metadata": {"name": "fast"}, "provisioner": "rbd.csi.ceph.com", "parameters": {"key": "secret"}}]
    cluster: Any = FakeCluster(
        nodes=ApiError("GET nodes", 403, "Forbidden", "no"), kubevirts=[], storageclasses=classes
    )
    told = environment(cluster, Target(name="made"), "fast", 2, {"volume_mode": "Block"})
    assert told["workers"] == 2
    assert "403" in told["nodes"]["unknown"]
    assert told["storage_class"]["provisioner"] == "rbd.csi.ceph.com"
    assert told["storage_class"]["volume_mode"] == "Block"
    assert "secret" not in str(told)


def test_the_host_tells_its_processor_and_the_lab_its_emulator() -> None:
    assert host(is_lab=False)["cores"] >= 1
    assert "qemu" not in host(is_lab=False)
    assert "qemu" in host(is_lab=True)
    assert cpu_model("processor\t: 0\nmodel name\t: Made: 1\nmodel name\t: Other\n") == "Made: 1"
    assert cpu_model("") == ""


def test_another_instrument_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text("one")
    before = instrument(tmp_path)
    assert before == instrument(tmp_path)
    (tmp_path / "probe.py").write_text("other")
    assert before != instrument(tmp_path)
    (tmp_path / "fio.txt").write_text("one")
    both = instrument(tmp_path, tmp_path / "fio.txt")
    (tmp_path / "fio.txt").write_text("other")
    assert both != instrument(tmp_path, tmp_path / "fio.txt")
