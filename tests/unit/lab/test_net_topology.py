"""The lab's network plan and its names."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.config import LabConfig
from lab.net import namespaces, topology


def test_every_namespace_has_its_own_address_and_port() -> None:
    """No two leaves share an address or a port of the fabric, with as many nodes as there are letters."""
    config = LabConfig(name="t", nodes=tuple(f"node-{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"))
    leaves = topology.leaves(config)
    assert len({leaf.address for leaf in leaves}) == len({leaf.port for leaf in leaves}) == len(leaves) == 29
    assert max(len(leaf.port) for leaf in leaves) <= 15
    assert [leaf.role for leaf in leaves if leaf.forwards] == ["lb"]


def test_only_nodes_have_a_bridge() -> None:
    """Guests' taps need one; the other namespaces have a plain interface."""
    bridged = {leaf.role: leaf.device for leaf in topology.leaves(LabConfig(name="t")) if leaf.bridged}
    assert bridged == dict.fromkeys(("node-a", "node-b", "node-c", "node-d"), "up0")


def test_leftovers_of_another_lab_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The prefix ends with a hyphen, which no lab's name contains."""
    for name in ("dp-a-fabric", "dp-a-node-a", "dp-ab-fabric", "dp-other-lb"):
        (tmp_path / name).touch()
    monkeypatch.setattr(namespaces, "DIRECTORY", tmp_path)
    assert topology.leftovers("a") == ["dp-a-fabric", "dp-a-node-a"]
