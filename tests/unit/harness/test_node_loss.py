"""A lost node: proved off, fenced only then, brought back, and undone in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from drainproof.api import NODE_HEALTH_CHECKS, NODES, PODS, Cluster, Object, Resource
from drainproof.errors import CannotRunError, ConflictError, NotFoundError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.record import EventLog
from drainproof.wait import Deadline
from scenarios.health_check import acting
from scenarios.node_loss import OUT_OF_SERVICE, Fence, NodeLoss, fenced
from scenarios.power.driver import PowerState
from tests.unit.harness.fakes import FakeClock


@dataclass
class FakePower:
    """A controller that takes a while for everything."""

    clock: FakeClock
    seconds: float = 3.0
    proves_off: bool = True
    powers_on: bool = True
    name: str = "fake"
    asked: list[str] = field(default_factory=list)
    _since: int = 0
    _before: PowerState = "On"
    _after: PowerState = "On"

    def state(self, node: str) -> PowerState:
        assert node == "node-a"
        return self._after if self.clock.now_ns - self._since >= self.seconds * 1e9 else self._before

    def off(self, node: str) -> None:
        self._switch(node, "Off")

    def on(self, node: str) -> None:
        self._switch(node, "On")

    def _switch(self, node: str, wanted: PowerState) -> None:
        self.asked.append(f"{wanted} {node}")
        self._before, self._after, self._since = self.state(node), wanted, self.clock.now_ns


@dataclass
class FakeCluster:
    """One node, Unknown for as long as it has no power, and a launcher pod that an out-of-service node loses."""

    power: FakePower
    conflicts: int = 0
    operator: bool = False
    taints: list[Object] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    powers_when_tainted: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=lambda: ["p-1"])

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        assert (resource, name) == (NODES, "node-a")
        ready = "True" if self.power.state(name) == "On" else "Unknown"
        return {
            "metadata": {"name": name, "resourceVersion": str(len(self.versions))}, "spec": {"taints": self.taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": {"bootID": "boot-2"}},
        }

    def items(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        assert (resource, labels, fields) == (PODS, "kubevirt.io=virt-launcher", "spec.nodeName=node-a")
        found = [{"metadata": {"name": f"launcher-{uid}", "uid": uid}} for uid in self.pods]
        if self.operator or any(taint["key"] == OUT_OF_SERVICE for taint in self.taints):
            self.pods = ["p-2"]
        return found

    def patch(self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str | None = None) -> Object:
        assert (resource, name) == (NODES, "node-a")
        if len(self.versions) < self.conflicts:
            self.versions.append("conflict")
            raise ConflictError("PATCH", 409, "Conflict", "the object has been modified")
        self.taints = patch["spec"]["taints"] or []
        self.powers_when_tainted.append(self.power.state(name))
        return {}


@dataclass
class Scene:
    """A fault with everything around it."""

    fault: NodeLoss
    cluster: FakeCluster
    power: FakePower
    journal: Journal
    clock: FakeClock

    def deadline(self, seconds: float = 60) -> Deadline:
        return Deadline(seconds, self.clock)


def scene(tmp_path: Path, fence_by: Fence = Fence.NOBODY, **power: Any) -> Scene:
    clock = FakeClock(10**9)
    driver = FakePower(clock, **power)
    cluster = FakeCluster(driver)
    journal = Journal(tmp_path / "journal.jsonl")
    return Scene(NodeLoss(cast(Cluster, cluster), driver, "node-a", journal, fence_by), cluster, driver, journal, clock)


def test_a_loss_is_proved_and_undone(tmp_path: Path) -> None:
    found = scene(tmp_path)
    assert (found.fault.kind, found.fault.target) == ("power-off", "node-a")
    proof = found.fault.inject(found.deadline())
    assert (proof["before"], proof["power"], proof["proved"], proof["fence_by"]) == ("On", "Off", True, "nobody")
    assert proof["seen_ns"] - proof["asked_ns"] >= 3e9
    assert found.journal.without_power == ["node-a"]
    assert found.fault.fence(found.deadline()) == {"node": "node-a", "fence_by": "nobody"}
    assert found.cluster.taints == []
    healed = found.fault.heal(found.deadline())
    assert (healed["power"], healed["boot_id"]) == ("On", "boot-2")
    assert healed["asked_ns"] < healed["powered_ns"] <= healed["ready_ns"] <= healed["seen_ns"]
    assert not found.journal.without_power
    assert found.power.asked == ["Off node-a", "On node-a"]


def test_the_taint_waits_for_the_power_and_goes_with_it(tmp_path: Path) -> None:
    """Only pods that were there are waited for: what starts on the node later is none of this."""
    found = scene(tmp_path, Fence.TAINT)
    found.fault.inject(found.deadline())
    proof = found.fault.fence(found.deadline())
    assert found.cluster.powers_when_tainted == ["Off"]
    assert [(taint["key"], taint["value"], taint["effect"]) for taint in found.cluster.taints] == [
        (OUT_OF_SERVICE, "nodeshutdown", "NoExecute")
    ]
    assert proof["pods"] == ["launcher-p-1"]
    assert OUT_OF_SERVICE in proof["taints_ns"]
    assert found.journal.tainted == [("node-a", OUT_OF_SERVICE)]
    found.fault.heal(found.deadline())
    assert found.cluster.taints == []
    assert found.journal.tainted == []


def test_a_node_that_is_not_off_is_never_declared_out_of_service(tmp_path: Path) -> None:
    found = scene(tmp_path, Fence.TAINT)
    with pytest.raises(WaitTimeoutError, match="node-a is Off"):
        found.fault.fence(found.deadline(5))
    assert (found.cluster.taints, found.journal.tainted) == ([], [])


def test_conflicts_are_overcome_but_not_for_ever(tmp_path: Path) -> None:
    found = scene(tmp_path, Fence.TAINT)
    found.fault.inject(found.deadline())
    found.cluster.conflicts = 3
    found.fault.fence(found.deadline())
    assert len(found.cluster.taints) == 1
    found.cluster.conflicts = 10**6
    with pytest.raises(ConflictError):
        found.fault.fence(found.deadline(5))


def test_an_operator_that_fences_is_watched_and_left_alone(tmp_path: Path) -> None:
    found = scene(tmp_path, Fence.OPERATOR)
    found.fault.inject(found.deadline())
    found.cluster.operator = True
    assert found.fault.fence(found.deadline())["pods"] == ["launcher-p-1"]
    assert (found.cluster.powers_when_tainted, found.journal.tainted) == ([], [])


def test_an_operator_that_does_nothing_is_named(tmp_path: Path) -> None:
    found = scene(tmp_path, Fence.OPERATOR)
    found.fault.inject(found.deadline())
    with pytest.raises(WaitTimeoutError, match=r"because operator has fenced it.*launcher-p-1"):
        found.fault.fence(found.deadline(5))


@pytest.mark.parametrize(("power", "fence_by", "words"), [
    ({"powers_on": False}, Fence.NOBODY, "cannot power node-a on again"),
    ({"proves_off": False}, Fence.TAINT, "cannot prove that node-a is off"),
])
def test_what_could_not_end_well_is_not_begun(
    tmp_path: Path, power: dict[str, Any], fence_by: Fence, words: str
) -> None:
    found = scene(tmp_path, fence_by, **power)
    with pytest.raises(CannotRunError, match=words):
        found.fault.inject(found.deadline())
    assert (found.power.asked, found.journal.entries()) == ([], [])


def test_a_power_off_that_never_happens_is_still_healed(tmp_path: Path) -> None:
    """The node has its power all the time: healing only makes sure of it."""
    found = scene(tmp_path, seconds=1000.0)
    with pytest.raises(WaitTimeoutError, match="last seen: On"):
        found.fault.inject(found.deadline(30))
    assert found.journal.without_power == ["node-a"]
    found.fault.heal(found.deadline(30))
    assert found.journal.without_power == []


def test_fencing_is_in_the_record(tmp_path: Path) -> None:
    found = scene(tmp_path)
    path = tmp_path / "events.jsonl"
    with closing(EventLog(path)) as events:
        fenced(found.fault, events, 2, 5)
    text = path.read_text()
    assert '"fenced"' in text
    assert '"power-off/2"' in text


@dataclass
class FakeChecks:
    """NodeHealthChecks, each with its pause requests; a check's phase follows them at once."""

    pauses: dict[str, list[str]]
    installed: bool = True
    patches: list[tuple[str, list[str]]] = field(default_factory=list)

    def items(self, resource: Resource) -> list[Object]:
        assert resource == NODE_HEALTH_CHECKS
        if not self.installed:
            raise NotFoundError("list", 404, "NotFound", "the server could not find the requested resource")
        return [self.get(resource, name) for name in self.pauses]

    def get(self, resource: Resource, name: str) -> Object:
        asked = self.pauses[name]
        return {"metadata": {"name": name}, "spec": {"pauseRequests": list(asked)},
                "status": {"phase": "Paused" if asked else "Enabled"}}

    def patch(self, resource: Resource, name: str, patch: Mapping[str, Any]) -> Object:
        self.pauses[name] = patch["spec"]["pauseRequests"]
        self.patches.append((name, self.pauses[name]))
        return {}


def test_the_labs_pause_is_lifted_for_a_while() -> None:
    checks = FakeChecks({"nhc": ["drainproof-lab"]})
    with acting(cast(Cluster, checks)) as check:
        assert (check["metadata"]["name"], checks.pauses) == ("nhc", {"nhc": []})
    assert checks.pauses == {"nhc": ["drainproof-lab"]}


def test_a_check_that_acts_is_left_as_it_is() -> None:
    checks = FakeChecks({"paused": ["an-upgrade"], "acts": []})
    with acting(cast(Cluster, checks)) as check:
        assert check["metadata"]["name"] == "acts"
    assert checks.patches == []


@pytest.mark.parametrize("checks", [
    FakeChecks({"nhc": ["an-upgrade", "drainproof-lab"]}), FakeChecks({}), FakeChecks({}, installed=False)
])
def test_a_pause_that_somebody_asked_for_is_respected(checks: FakeChecks) -> None:
    with pytest.raises(CannotRunError, match="No NodeHealthCheck"), acting(cast(Cluster, checks)):
        raise AssertionError("nothing acts")
    assert checks.patches == []
