"""The surroundings of a run, as far as they may change a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drainproof.errors import ApiError
from drainproof.target import Target
from fixtures.environment import cpu_model, environment, host, instrument, migration_limits, nodes


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
    told = environment(cluster, Target(name="made"), "fast")
    assert "403" in told["nodes"]["unknown"]
    assert told["storage_class"]["provisioner"] == "rbd.csi.ceph.com"
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
