"""The drain: what it does in which order, and the proof it leaves in the record."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drainproof.api import Cluster
from drainproof.errors import CannotRunError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.record import Case, CaseReader, Event
from drainproof.spec import VmSpec
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.drain import Drain
from scenarios.extra_machine import ExtraMachine
from scenarios.launcher_log import downtime_facts
from tests.unit.harness.fakes import FakeCluster


def _drain(cluster: FakeCluster, tmp_path: Path, seconds: float = 30) -> list[Event]:
    case = Case(tmp_path / "run" / "case")
    fake = cast(Cluster, cluster)
    drain = Drain(fake, "node-a", [VirtualMachine(fake, "vm-0", "ns")], case.events, Journal.of(tmp_path / "run"))
    try:
        drain.run(Deadline(seconds))
    finally:
        case.close()
    return CaseReader(case.directory).events()


def _one(events: list[Event], kind: str) -> dict[str, Any]:
    found = [event for event in events if event.kind == kind]
    assert len(found) == 1, [event.kind for event in events]
    return dict(found[0].data)


def test_the_finished_launcher_s_log_is_read_before_it_is_evicted(tmp_path: Path) -> None:
    """The hypervisor's downtime stands in a log that the last eviction removes."""
    cluster = FakeCluster()
    events = _drain(cluster, tmp_path)
    assert cluster.calls == [
        "unschedulable=True", "evict in phase Running", "log in phase Succeeded", "evict in phase Succeeded",
        "unschedulable=False",
    ]
    assert _one(events, "downtime")["downtime_ms"] == 140


def test_a_drain_proves_that_it_happened_and_healed(tmp_path: Path) -> None:
    """The record holds the refusals, the migration and the proof."""
    events = _drain(FakeCluster(), tmp_path)
    assert [event.data["code"] for event in events if event.kind == "evict"] == [429, 201]
    migrated = _one(events, "migrated")
    assert (migrated["from"], migrated["to"], migrated["vmim"], migrated["live"]) == (
        "node-a", "node-b", "kubevirt-evacuation-x", True)
    assert _one(events, "proof") == {"happened": True, "healed": True, "reasons": []}
    assert _one(events, "requests") == {
        "vms": 1, "requests": 2, "repeats": 0, "by": {"create pods/eviction": 2},
    }


def test_a_restart_is_not_called_a_live_migration(tmp_path: Path) -> None:
    """A machine that comes back under a new uid has moved, but not live."""
    migrated = _one(_drain(FakeCluster(restarts=True, migrates=False), tmp_path), "migrated")
    assert migrated["live"] is False
    assert migrated["uid"] == "uid-2"


def test_a_drain_that_hangs_uncordons_and_says_what_is_left(tmp_path: Path) -> None:
    """The time-out names the pod; the node is schedulable again, and the journal knows it."""
    cluster = FakeCluster(migrates=False)
    with pytest.raises(WaitTimeoutError, match=r"node node-a is drained.*virt-launcher-vm-0-abcde \(Running\)"):
        _drain(cluster, tmp_path, seconds=0.5)
    assert cluster.calls[-1] == "unschedulable=False"
    assert [entry["do"] for entry in Journal.of(tmp_path / "run").entries()] == ["cordon", "uncordoned"]
    events = CaseReader(tmp_path / "run" / "case").events()
    proof = _one(events, "proof")
    assert proof["happened"] is True
    assert "node node-a is drained" in proof["reasons"][0]


def test_a_node_that_somebody_has_cordoned_is_neither_drained_nor_uncordoned(tmp_path: Path) -> None:
    """Its maintenance has begun since the node was claimed, as that of the next node of a rolling drain may."""
    cluster = FakeCluster(unschedulable=True)
    with pytest.raises(CannotRunError, match="node-a has been cordoned by somebody else"):
        _drain(cluster, tmp_path)
    assert cluster.calls == []
    assert cluster.unschedulable
    assert Journal.of(tmp_path / "run").entries() == []


def test_an_extra_machine_cordons_no_node_that_somebody_has_cordoned(tmp_path: Path) -> None:
    """Nothing is cordoned then, and healing uncordons nothing."""
    cluster, journal = FakeCluster(unschedulable=True), Journal.of(tmp_path / "run")
    extra = ExtraMachine(
        cluster=cast(Cluster, cluster), namespace="ns", machine=cast(VmSpec, SimpleNamespace(name="extra")), claim={},
        secret={}, nodes=("node-a", "node-b"), journal=journal,
    )
    with pytest.raises(CannotRunError, match="Node node-a has been cordoned by somebody else"):
        extra.inject(Deadline(1))
    assert (cluster.calls, journal.entries()) == ([], [])


def test_a_cordon_that_no_journal_takes_is_not_undone_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was changed, so there is nothing to be changed back."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "cordon", full)
    cluster = FakeCluster()
    with pytest.raises(OSError, match="No space"):
        _drain(cluster, tmp_path)
    assert cluster.calls == []


def test_downtime_facts_of_a_real_launcher_log() -> None:
    """The line of KubeVirt v1.9.0 is understood; progress lines with ExpectedDowntime are not taken for it."""
    uid = "80ff5997-b919-42b5-a7bf-04101fdb2070"
    log = (
        f'{{"msg":"Migration info for {uid}: TimeElapsed:400ms ExpectedDowntime:300ms DiskMbps:0"}}\n'
        f'{{"msg":"Migration info for {uid}: TimeElapsed:1376ms Iteration:3 Downtime:161ms DowntimeNet:158ms"}}\n'
        f"lab: migration {uid} stop_ns=100 resume_ns=260\n"
    )
    facts = downtime_facts(log)
    assert (facts["downtime_ms"], facts["downtime_net_ms"], facts["total_ms"]) == (161, 158, 1376)
    assert (facts["migration_uid"], facts["stop_ns"], facts["resume_ns"]) == (uid, 100, 260)
    assert downtime_facts("nothing of interest") == {}


def test_a_pod_that_nobody_would_create_again_is_not_drained(tmp_path: Path) -> None:
    """As kubectl refuses it without --force; the node is not even cordoned."""
    cluster = FakeCluster(pod_controlled=False)
    with pytest.raises(CannotRunError, match="node-a has pods .* ns/virt-launcher-vm-0-abcde"):
        _drain(cluster, tmp_path)
    assert cluster.calls == []
