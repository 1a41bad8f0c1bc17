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
from drainproof.expectation import Expectation
from drainproof.journal import Journal
from drainproof.record import EventLog
from drainproof.record.events import read_events
from drainproof.wait import Deadline
from scenarios.fault import injected
from scenarios.health_check import acting, check_to_act, refuse_unpaused, unpaused
from scenarios.node_loss import OUT_OF_SERVICE, Fence, NodeLoss, fenced
from scenarios.power.driver import PowerError, PowerState
from tests.unit.harness.fakes import FakeClock


@dataclass
class FakePower:
    """A controller that takes a while for everything; what it is told in vain changes nothing."""

    clock: FakeClock
    seconds: float = 3.0
    proves_off: bool = True
    powers_on: bool = True
    name: str = "fake"
    silent: tuple[float, float] = (0.0, 0.0)
    """From when until when it does not answer, in seconds of its clock."""
    refuses: tuple[str, ...] = ()
    """What it refuses; `On` only to a node that has power."""
    asked: list[str] = field(default_factory=list)
    boots: int = 1
    lost_ns: int = 0
    _since: int = 0
    _before: PowerState = "On"
    _after: PowerState = "On"

    @property
    def settled_ns(self) -> int:
        """When the last order is carried out."""
        return self._since + int(self.seconds * 1e9)

    @property
    def truth(self) -> PowerState:
        return self._after if self.clock.now_ns >= self.settled_ns else self._before

    def state(self, node: str) -> PowerState:
        assert node == "node-a"
        begin, end = self.silent
        if begin * 1e9 <= self.clock.now_ns < end * 1e9:
            raise PowerError("the controller does not answer")
        return self.truth

    def off(self, node: str) -> None:
        self._switch(node, "Off")
        self.lost_ns = self.settled_ns

    def on(self, node: str) -> None:
        self._switch(node, "On")

    def _switch(self, node: str, wanted: PowerState) -> None:
        before = self.state(node)
        self.asked.append(f"{wanted} {node}")
        if wanted in self.refuses and (wanted == "Off" or before == "On"):
            raise PowerError(f"{wanted} is refused")
        if before != wanted:
            self._before, self._after, self._since = before, wanted, self.clock.now_ns
            self.boots += wanted == "On"


@dataclass
class FakeCluster:
    """One node, and a launcher pod that an out-of-service node loses.

    Kubernetes believes a dead node for its grace; one that has power again tells its new boot once it has booted.
    """

    power: FakePower
    grace: float = 0.0
    boot_seconds: float = 0.0
    tells_boots: bool = True
    conflicts: int = 0
    operator: bool = False
    taints: list[Object] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    powers_when_tainted: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=lambda: ["p-1"])
    boot: int = 1

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        assert (resource, name) == (NODES, "node-a")
        power, now = self.power, self.power.clock.now_ns
        up = power.truth == "On" and (power.boots == self.boot or now >= power.settled_ns + self.boot_seconds * 1e9)
        self.boot = power.boots if up else self.boot
        ready = "True" if up or now < power.lost_ns + self.grace * 1e9 else "Unknown"
        told = {"bootID": f"boot-{self.boot}"} if self.tells_boots else {}
        return {
            "metadata": {"name": name, "resourceVersion": str(len(self.versions))}, "spec": {"taints": self.taints},
            "status": {"conditions": [{"type": "Ready", "status": ready}], "nodeInfo": told},
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
    assert proof["boot_id"] == "boot-1"
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
    """The node has its power all the time: healing waits a while for what may still come, then makes sure of it."""
    found = scene(tmp_path, seconds=1000.0)
    with pytest.raises(WaitTimeoutError, match="last seen: On"):
        found.fault.inject(found.deadline(30))
    assert found.journal.without_power == ["node-a"]
    begun_ns = found.clock.now_ns
    assert 0 < found.fault.heal(found.deadline())["asked_ns"] - begun_ns < 31e9
    assert found.power.asked == ["Off node-a", "On node-a"]
    assert found.journal.without_power == []


@pytest.mark.parametrize("power", [{"refuses": ("Off",)}, {"refuses": ("Off", "On")}])
def test_a_refused_power_off_is_healed_in_the_old_boot(tmp_path: Path, power: dict[str, Any]) -> None:
    """The node never went away: neither a new boot is waited for, nor is it held against it that it has power."""
    found = scene(tmp_path, **power)
    with pytest.raises(PowerError, match="Off is refused"):
        found.fault.inject(found.deadline())
    assert found.fault.heal(found.deadline())["boot_id"] == "boot-1"
    assert found.journal.without_power == []


def test_a_node_that_goes_off_late_is_not_left_off(tmp_path: Path) -> None:
    """The wait for Off is broken off while the controller still says On: healing does not believe that either."""
    found = scene(tmp_path, seconds=20.0)
    with pytest.raises(WaitTimeoutError, match="last seen: On"):
        found.fault.inject(found.deadline(5))
    healed = found.fault.heal(found.deadline(120))
    found.clock.sleep(100)
    assert (found.power.truth, found.power.asked) == ("On", ["Off node-a", "On node-a"])
    assert healed["boot_id"] == "boot-2"
    assert found.journal.without_power == []


def test_an_order_broken_off_is_an_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted before the driver returns: the node goes off all the same, and is brought back."""
    found = scene(tmp_path)
    off = found.power.off

    def interrupted(node: str) -> None:
        off(node)
        raise KeyboardInterrupt

    monkeypatch.setattr(found.power, "off", interrupted)
    with pytest.raises(KeyboardInterrupt):
        found.fault.inject(found.deadline())
    found.fault.heal(found.deadline())
    assert (found.power.truth, found.power.boots) == ("On", 2)


def test_a_controller_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    """Before it is asked for anything, while the node goes off, and while it is to come back."""
    found = scene(tmp_path, silent=(0.0, 5.0))
    off = found.power.off

    def off_and_silent(node: str) -> None:
        off(node)
        found.power.silent = (5.0, 12.0)

    found.power.off = off_and_silent  # type: ignore[method-assign]
    assert found.fault.inject(found.deadline())["before"] == "On"
    found.power.silent = (0.0, 30.0)
    assert found.fault.heal(found.deadline())["powered_ns"] > 30e9
    assert (found.power.truth, found.power.boots) == ("On", 2)


def test_a_controller_that_never_answers_changes_nothing(tmp_path: Path) -> None:
    """It is asked for a while, then the fault is given up, with the controller's words; there is nothing to heal."""
    found = scene(tmp_path, silent=(0.0, 1000.0))
    with pytest.raises(WaitTimeoutError, match="does not answer"):
        found.fault.inject(found.deadline(120))
    assert found.clock.now_ns < 40e9
    assert found.fault.heal(found.deadline()) == {"node": "node-a", "untouched": True}
    assert (found.power.asked, found.journal.entries()) == ([], [])


def test_a_stale_ready_is_not_believed(tmp_path: Path) -> None:
    """Kubernetes says Ready for 40 s after the power is gone: the node is back only when it tells another boot."""
    found = scene(tmp_path)
    found.cluster.grace, found.cluster.boot_seconds = 40.0, 25.0
    found.fault.inject(found.deadline())
    healed = found.fault.heal(found.deadline())
    assert healed["ready_ns"] - healed["powered_ns"] >= 25e9
    assert healed["boot_id"] == "boot-2"


def test_a_node_that_stays_in_its_old_boot_is_not_healed(tmp_path: Path) -> None:
    found = scene(tmp_path)
    found.cluster.grace, found.cluster.boot_seconds = 1000.0, 1000.0
    found.fault.inject(found.deadline())
    with pytest.raises(WaitTimeoutError, match=r"Ready in a new boot.*boot-1"):
        found.fault.heal(found.deadline())


def test_a_node_that_tells_no_boot_only_has_to_be_ready(tmp_path: Path) -> None:
    found = scene(tmp_path)
    found.cluster.tells_boots = False
    found.fault.inject(found.deadline())
    assert found.fault.heal(found.deadline())["boot_id"] == ""


def test_what_was_refused_stays_the_reason(tmp_path: Path) -> None:
    """Nothing was done, so healing has nothing to fail at; the record says that it did not happen."""
    found = scene(tmp_path, powers_on=False, silent=(0.0, 1000.0))
    with (
        closing(EventLog(tmp_path / "events.jsonl")) as events,
        pytest.raises(CannotRunError, match="cannot power"),
        injected(found.fault, Expectation(), events, 1, 60, 60),
    ):
        raise AssertionError("it was injected")
    (proof,) = (event.data for event in read_events(tmp_path / "events.jsonl") if event.kind == "proof")
    assert (proof["happened"], proof["healed"]) == (False, True)


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

    def within(self, _deadline: Deadline) -> FakeChecks:
        return self

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
    with acting(cast(Cluster, checks), Journal()) as check:
        assert (check["metadata"]["name"], checks.pauses) == ("nhc", {"nhc": []})
    assert checks.pauses == {"nhc": ["drainproof-lab"]}


def test_a_check_that_acts_is_left_as_it_is() -> None:
    checks = FakeChecks({"paused": ["an-upgrade"], "acts": []})
    with acting(cast(Cluster, checks), Journal()) as check:
        assert check["metadata"]["name"] == "acts"
    assert checks.patches == []


def test_a_check_that_would_act_is_named() -> None:
    """One that somebody has paused does not; where there is no operator, nothing does."""
    checks = cast(Cluster, FakeChecks({"paused": ["an-upgrade"], "acts": [], "lab": ["drainproof-lab"]}))
    assert unpaused(checks) == ["acts"]
    with pytest.raises(CannotRunError, match="NodeHealthCheck acts would fence"):
        refuse_unpaused(checks)
    assert check_to_act(checks)["metadata"]["name"] == "lab"
    refuse_unpaused(cast(Cluster, FakeChecks({"nhc": ["drainproof-lab"]})))
    refuse_unpaused(cast(Cluster, FakeChecks({}, installed=False)))


@pytest.mark.parametrize("checks", [
    FakeChecks({"nhc": ["an-upgrade", "drainproof-lab"]}), FakeChecks({}), FakeChecks({}, installed=False)
])
def test_a_pause_that_somebody_asked_for_is_respected(checks: FakeChecks) -> None:
    with pytest.raises(CannotRunError, match="No NodeHealthCheck"), acting(cast(Cluster, checks), Journal()):
        raise AssertionError("nothing acts")
    assert checks.patches == []
