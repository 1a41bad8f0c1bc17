"""A lab that is replaced because it has other settings is told, with each of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab import processes
from lab.config import LabConfig
from lab.lifecycle import daemons
from lab.lifecycle.up import settings_in_the_way


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabConfig:
    monkeypatch.setattr(daemons, "missing", lambda config: [])
    monkeypatch.setattr(processes, "is_orphan", lambda owner: owner == "dead")
    return LabConfig(name="other", state_dir=str(tmp_path / "state"), owner="1:2", storage=("nfs",))


def test_each_setting_that_differs_is_named(wanted: LabConfig) -> None:
    replace(wanted, nodes=("node-a", "node-b"), toleration_seconds=10.0, owner="", storage=()).save()
    assert settings_in_the_way(wanted) == (
        "nodes node-a,node-b instead of node-a,node-b,node-c,node-d, toleration_seconds 10.0 instead of 300.0, "
        "storage none instead of nfs"
    )


def test_what_is_no_lab_of_somebody_s_is_in_nobody_s_way(wanted: LabConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """None, one with more storage servers, an orphan of a dead run, one that has lost a process."""
    assert settings_in_the_way(wanted) == ""
    replace(wanted, owner="", storage=("ceph", "nfs")).save()
    assert settings_in_the_way(wanted) == ""
    replace(wanted, nodes=("node-a",), owner="dead").save()
    assert settings_in_the_way(wanted) == ""
    replace(wanted, nodes=("node-a",)).save()
    assert settings_in_the_way(wanted)
    monkeypatch.setattr(daemons, "missing", lambda config: ["Prometheus"])
    assert settings_in_the_way(wanted) == ""
