"""Bystanders: which machines are some, when one counts as harmed, and that the run stops for it and only for that."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from drainproof.api import INSTANCES, MACHINES, NAMESPACES, Cluster, Object, Resource
from drainproof.clock import SystemClock
from drainproof.errors import CannotRunError
from drainproof.record import Case, EventLog
from drainproof.record.events import read_events
from fixtures import bystanders as module
from fixtures.bystanders import (
    BystanderHarmedError,
    Watch,
    busy_nodes,
    bystanders,
    refuse,
    refuse_too_few_nodes,
    watched_over,
)
from tests.unit.harness.fakes import FakeClock


def vmi(name: str, node: str = "node-a", namespace: str = "theirs", **changed: Any) -> Object:
    """A running, Ready machine of a VirtualMachine."""
    ready = {"type": "Ready", "status": "True" if changed.get("ready", True) else "False"}
    owners = [{"kind": "VirtualMachine", "name": name}] if changed.get("owned", True) else []
    meta = {"name": name, "namespace": namespace, "uid": changed.get("uid", f"uid-{name}"), "ownerReferences": owners}
    if changed.get("deleting"):
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status = {"nodeName": node, "phase": changed.get("phase", "Running"), "conditions": [ready]}
    return {"metadata": meta, "status": status}


@dataclass
class Machines:
    """A cluster with machines, their owners' wishes, and the namespaces of runs."""

    instances: list[Object] = field(default_factory=list)
    runs: tuple[str, ...] = ()
    machines: dict[str, Object] = field(default_factory=dict)

    def items(self, resource: Resource, namespace: str | None = None, *, labels: str = "") -> list[Object]:
        if resource == NAMESPACES:
            assert labels == "app.kubernetes.io/managed-by=drainproof"
            return [{"metadata": {"name": name}} for name in self.runs]
        assert resource == INSTANCES
        return self.instances

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        assert resource == MACHINES
        return self.machines.get(name)


def wanted(name: str, strategy: str = "Always", **meta: Any) -> dict[str, Object]:
    return {name: {"metadata": {"name": name, **meta}, "spec": {"runStrategy": strategy}}}


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    found = Case(tmp_path / "case")
    yield found
    found.close()


def watch_of(cluster: Machines, events: EventLog, clock: FakeClock | None = None, **how: Any) -> Watch:
    told = {"nodes": frozenset({"node-a"}), "everywhere": False, "allowed": True, **how}
    runs = set(cluster.runs)
    watch = Watch(cast(Cluster, cluster), events, 30.0, run_namespaces=runs, clock=clock or FakeClock(), **told)
    watch.begin(bystanders(cast(Cluster, cluster), ["node-a"]))
    return watch


def test_machines_of_runs_and_on_other_nodes_are_none() -> None:
    cluster = cast(Cluster, Machines(
        [vmi("db"), vmi("web", "node-b"), vmi("portal-0", namespace="drainproof-r"), vmi("over", phase="Succeeded"),
         vmi("fake", namespace="drainproof-not-labelled")],
        runs=("drainproof-r",),
    ))
    assert [one.name for one in bystanders(cluster, ["node-a"])] == ["fake", "db"]
    assert busy_nodes(cluster) == {"node-a", "node-b"}


def test_the_first_ten_are_named() -> None:
    cluster = cast(Cluster, Machines([vmi(f"db-{number:02}") for number in range(12)]))
    with pytest.raises(CannotRunError, match=r"theirs/db-00 on node-a.*db-09 on node-a and 2 more.*--allow-bystanders"):
        refuse(bystanders(cluster, ["node-a"]), "on the nodes")
    refuse([], "on the nodes")


def test_nodes_that_are_free_of_them_may_be_enough() -> None:
    cluster = cast(Cluster, Machines([vmi("db")]))
    refuse_too_few_nodes(cluster, ["node-a", "node-b", "node-c"], 2)
    with pytest.raises(CannotRunError, match="theirs/db on node-a"):
        refuse_too_few_nodes(cluster, ["node-a", "node-b", "node-c"], 3)


@pytest.mark.parametrize(("after", "harm"), [
    ([vmi("db")], ""),
    ([vmi("db", "node-b")], ""),
    ([vmi("db", uid="another")], "was restarted"),
    ([vmi("db", phase="Failed")], "has failed"),
    ([], "is gone"),
    ([vmi("db", phase="Succeeded")], "is gone"),
    ([vmi("db"), vmi("web")], ""),
])
def test_what_harm_is(case: Case, after: list[Object], harm: str) -> None:
    """A move is none; neither is another machine that comes where bystanders are allowed."""
    cluster = Machines([vmi("db")], machines=wanted("db"))
    watch = watch_of(cluster, case.events)
    assert harm in watch.look(after)
    assert bool(watch.harm) == bool(harm)
    if harm:
        assert "theirs/db" in watch.harm


@pytest.mark.parametrize("machines", [
    {}, wanted("db", "Halted"), wanted("db", deletionTimestamp="2026-01-01T00:00:00Z"),
])
def test_what_its_owner_wants_is_no_harm(case: Case, machines: dict[str, Object]) -> None:
    """Deleted with its VirtualMachine, or stopped through it."""
    watch = watch_of(Machines([vmi("db")], machines=machines), case.events)
    assert watch.look([]) == ""
    assert watch.watched == {}


def test_a_machine_without_an_owner_is_harmed_unless_it_was_deleted(case: Case) -> None:
    """A drain ends such a machine, and deletes none."""
    alone = Machines([vmi("db", owned=False)])
    assert "is gone" in watch_of(alone, case.events).look([vmi("db", owned=False, phase="Succeeded")])
    deleted = watch_of(alone, case.events)
    assert deleted.look([vmi("db", owned=False, deleting=True)]) == ""
    assert deleted.look([]) == ""


def test_not_ready_for_too_long_is_harm(case: Case) -> None:
    """Shorter is what a migration may cost; one that was not Ready before is not this run's doing."""
    clock = FakeClock()
    cluster = Machines([vmi("db"), vmi("sick", ready=False)])
    watch = watch_of(cluster, case.events, clock)
    sick = vmi("sick", ready=False)
    for seconds, item, harmed in ((0, False, False), (29, False, False), (0, True, False), (25, False, False),
                                  (20, False, False), (11, False, True)):
        clock.sleep(seconds)
        assert bool(watch.look([vmi("db", ready=item), sick])) == harmed


def test_one_that_comes_meanwhile_stops_a_run_that_may_disturb_none(case: Case) -> None:
    """Unless it is another run's, which leases keep away, or on another node."""
    cluster = Machines([], runs=("drainproof-other",))
    watch = watch_of(cluster, case.events, allowed=False)
    assert watch.look([vmi("web", "node-b"), vmi("portal-0", namespace="drainproof-other")]) == ""
    assert "theirs/db on node-a of somebody else's has come" in watch.look([vmi("db")])


class Told:
    """What one watch of the cluster tells: the machines as a test changes them."""

    def __init__(self, cluster: Any, interest: Any) -> None:
        self.cluster, self.current, self.stopped = cluster, True, False

    def start(self) -> None:
        """Nothing to begin."""

    def await_current(self, seconds: float) -> bool:
        return True

    def objects(self) -> list[Object]:
        return copy.deepcopy(self.cluster.instances)

    def prove(self) -> bool:
        return True

    def stop(self) -> None:
        self.stopped = True


@contextmanager
def over(monkeypatch: pytest.MonkeyPatch, cluster: Machines, events: EventLog) -> Iterator[None]:
    monkeypatch.setattr(module, "Following", Told)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
    watch = watch_of(cluster, events)
    with watched_over(watch, list(watch.watched.values())):
        yield


def test_harm_breaks_the_block_off_at_once_and_lets_it_heal(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    """Whatever it waits for; what has to be undone is, and the record names the machine."""
    cluster, healed = Machines([vmi("db")], machines=wanted("db")), []
    stopped = pytest.raises(BystanderHarmedError, match="theirs/db of somebody else's was restarted")
    with stopped, over(monkeypatch, cluster, case.events):
        try:
            cluster.instances = [vmi("db", uid="another")]
            SystemClock().sleep(20)
            pytest.fail("it was not stopped")
        finally:
            healed.append("healed")
    assert healed == ["healed"]
    kinds = [(event.kind, event.object) for event in read_events(case.directory / "events.jsonl")]
    assert ("harmed", "theirs/db") in kinds
    assert kinds[-1] == ("watched", "all")


def test_unharmed_they_are_told_of(monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    with over(monkeypatch, Machines([vmi("db")]), case.events):
        pass
    (last,) = [event for event in read_events(case.directory / "events.jsonl") if event.kind == "watched"]
    assert (last.data["count"], last.data["proven"], last.data["harm"]) == (1, True, "")
