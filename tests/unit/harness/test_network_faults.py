"""Faults of the network: what they order, what the guests have to see of them, how they end."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import comb
from typing import Any, cast

import pytest

from drainproof.api import NETWORK_CHAOS, Cluster, Object, Resource
from drainproof.errors import UnexpectedStateError, WaitTimeoutError
from drainproof.wait import Deadline
from scenarios.echoes import Echoes, EchoesError, Guests
from scenarios.network import Delay, Loss, NetworkFault, Partition
from tests.unit.harness.fakes import FakeClock

Pair = tuple[str, str]
ALL = Echoes(100, 100, 2.0, 5.0)
NONE = Echoes(100, 0, None, None)


@dataclass
class ChaosMesh:
    """A cluster with Chaos Mesh in it, with the effects that a test gives its experiments, and guests to see them."""

    clock: FakeClock = field(default_factory=FakeClock)
    pods: tuple[str, ...] = (
        "ns/virt-launcher-vm-0-aaaaa", "ns/virt-launcher-vm-1-bbbbb", "ns/virt-launcher-vm-10-ccccc",
    )
    injects: bool = True
    item: Object | None = None
    born_ns: int = 0
    before: Echoes = ALL
    during: Echoes = NONE
    after: list[Echoes] = field(default_factory=lambda: [ALL])
    """What the guests see from the experiment's end on, measurement after measurement; the last one stays."""
    apart: dict[Pair, Echoes] = field(default_factory=dict)
    """Pairs that see something else while it is in force."""
    asked: list[tuple[list[Pair], int]] = field(default_factory=list)
    _ended: bool = False

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        assert (resource, namespace) == (NETWORK_CHAOS, "ns")
        self.item, self.born_ns = copy.deepcopy(body), self.clock.now_ns
        return self.item

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        found = self.find(resource, name, namespace)
        assert found is not None
        return found

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        if self.item is None:
            return None
        assert self.item["metadata"]["name"] == name
        lasts = (self.clock.now_ns - self.born_ns) / 1e9 < float(self.spec["duration"].removesuffix("s"))
        return {**self.item, "status": {
            "conditions": [{"type": "AllInjected", "status": str(self.injects and lasts)}],
            "experiment": {"containerRecords": [{"id": pod, "phase": "Injected"} for pod in self.pods]}}}

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self.item, self._ended = None, True

    def measure(self, pairs: Sequence[Pair], count: int, deadline: Deadline) -> list[Echoes]:
        self.asked.append((list(pairs), count))
        if self.item is not None:
            return [self.apart.get(pair, self.during) for pair in pairs]
        seen = self.before
        if self._ended:
            seen = self.after.pop(0) if len(self.after) > 1 else self.after[0]
        return [seen for _ in pairs]

    @property
    def spec(self) -> dict[str, Any]:
        assert self.item is not None
        return dict(self.item["spec"])

    def fault(self, kind: type[NetworkFault] = Partition, *, seconds: float = 60, **how: Any) -> NetworkFault:
        """One machine against two others."""
        cluster, guests = cast(Cluster, self), cast(Guests, self)
        return kind(cluster, "ns", ["vm-0"], ["vm-1", "vm-10"], seconds, guests, **how)

    def deadline(self, seconds: float = 10) -> Deadline:
        return Deadline(seconds, self.clock)


@pytest.fixture
def mesh() -> ChaosMesh:
    return ChaosMesh()


def slower(milliseconds: float, seen: Echoes = ALL) -> Echoes:
    assert seen.shortest_ms is not None
    return replace(seen, shortest_ms=seen.shortest_ms + milliseconds)


def answered(count: int, sent: int = 400) -> Echoes:
    return Echoes(sent, count, 2.0, 5.0)


def test_a_partition_orders_both_directions_by_name_and_a_bounded_life(mesh: ChaosMesh) -> None:
    """One side against the other, clients untouched; the proof names the pods; the end is the object's absence."""
    fault = mesh.fault()
    proof = fault.inject(mesh.deadline())
    spec = mesh.spec
    assert (spec["action"], spec["direction"], spec["duration"], spec["mode"]) == ("partition", "both", "60s", "all")
    named = [part["selector"]["expressionSelectors"][0]["values"] for part in (spec, spec["target"])]
    assert named == [["vm-0"], ["vm-1", "vm-10"]]
    assert (fault.kind, fault.target, proof["pods"]) == ("partition", "vm-0", list(mesh.pods))
    assert fault.heal(mesh.deadline())["lasted"] is True
    assert mesh.item is None


@pytest.mark.parametrize(("kind", "how", "part"), [
    (Delay, {"latency_ms": 50, "jitter_ms": 5},
     {"action": "delay", "delay": {"latency": "50ms", "jitter": "5ms", "correlation": "0"}}),
    (Loss, {"percent": 2.5}, {"action": "loss", "loss": {"loss": "2.5", "correlation": "0"}}),
])
def test_delay_and_loss_in_chaos_meshs_words(
    mesh: ChaosMesh, kind: type[NetworkFault], how: dict[str, Any], part: dict[str, Any]
) -> None:
    """Numbers become Chaos Mesh's strings."""
    fault = mesh.fault(kind, **how)
    assert fault.action() == part
    assert part.items() <= fault.experiment.spec.items()


def test_a_machine_that_was_not_selected_is_an_error(mesh: ChaosMesh) -> None:
    """AllInjected says nothing about a name that matched no pod; vm-10's pod is not vm-1's."""
    mesh.pods = ("ns/virt-launcher-vm-0-aaaaa", "ns/virt-launcher-vm-10-ccccc")
    with pytest.raises(UnexpectedStateError, match="partition hits vm-1: "):
        mesh.fault().inject(mesh.deadline())


def test_an_experiment_that_is_never_injected_is_an_error(mesh: ChaosMesh) -> None:
    """The last conditions stand in it."""
    mesh.injects = False
    with pytest.raises(WaitTimeoutError, match="AllInjected"):
        mesh.fault().inject(mesh.deadline())


def test_a_partition_that_ended_too_soon_says_so(mesh: ChaosMesh) -> None:
    """Its duration was over before it was healed."""
    fault = mesh.fault(seconds=5)
    fault.inject(mesh.deadline())
    mesh.clock.sleep(6)
    assert fault.heal(mesh.deadline())["lasted"] is False


@pytest.mark.parametrize(("kind", "how", "before", "weak", "strong"), [
    (Partition, {}, ALL, Echoes(20, 1, 2.0, 2.0), Echoes(20, 0, None, None)),
    (Delay, {"latency_ms": 50}, ALL, slower(74), slower(76)),
    (Delay, {"latency_ms": 50}, slower(30), slower(100), slower(110)),
    (Delay, {"latency_ms": 50, "jitter_ms": 10}, ALL, slower(59), slower(61)),
    (Delay, {"latency_ms": 50}, ALL, NONE, slower(100)),
    (Loss, {"percent": 5.0}, answered(400), answered(381), answered(380)),
    (Loss, {"percent": 5.0}, answered(390), answered(371), answered(370)),
])
def test_what_the_guests_see_is_the_proof(
    mesh: ChaosMesh, kind: type[NetworkFault], how: dict[str, Any], before: Echoes, weak: Echoes, strong: Echoes
) -> None:
    """AllInjected alone proves nothing: too little of what was asked for, compared with before, is an error."""
    mesh.before, mesh.during = before, weak
    with pytest.raises(UnexpectedStateError, match="has its effect between every two guests"):
        mesh.fault(kind, **how).inject(mesh.deadline())
    mesh.item, mesh.during = None, strong
    proof = mesh.fault(kind, **how).inject(mesh.deadline())
    pairs = [(told["from"], told["to"]) for told in proof["echoes"]]
    assert pairs == [("vm-0", "vm-1"), ("vm-0", "vm-10")]
    assert proof["echoes"][0]["now"]["shortest_ms"] == strong.shortest_ms
    assert proof["echoes"][0]["before"]["answered"] == before.answered


def test_every_pair_has_to_see_it(mesh: ChaosMesh) -> None:
    """A rule that missed one of the others would leave a way round."""
    mesh.apart = {("vm-0", "vm-10"): ALL}
    with pytest.raises(UnexpectedStateError, match="has its effect between every two guests.*'to': 'vm-10'"):
        mesh.fault().inject(mesh.deadline())


def test_guests_that_do_not_answer_each_other_anyway_prove_nothing(mesh: ChaosMesh) -> None:
    """Silence shows a partition only where answers came before; nothing is ordered, and nothing is left to heal."""
    mesh.before = answered(49, 100)
    fault = mesh.fault()
    with pytest.raises(UnexpectedStateError, match="answer each other before the partition.*vm-0 to vm-1"):
        fault.inject(mesh.deadline())
    assert mesh.item is None
    assert fault.heal(mesh.deadline())["gone"] is True


@pytest.mark.parametrize(("kind", "how", "during", "still", "again"), [
    (Partition, {}, NONE, answered(49, 100), answered(100, 100)),
    (Delay, {"latency_ms": 50}, slower(100), slower(26), slower(24)),
    (Delay, {"latency_ms": 50}, slower(100), NONE, ALL),
    (Loss, {"percent": 5.0}, answered(360), answered(380), answered(381)),
])
def test_a_fault_has_healed_when_the_guests_see_no_more_of_it(
    mesh: ChaosMesh, kind: type[NetworkFault], how: dict[str, Any], during: Echoes, still: Echoes, again: Echoes
) -> None:
    """They are asked until then; a fault whose object is gone but not its effect has not healed."""
    mesh.before, mesh.during, mesh.after = replace(again, shortest_ms=2.0), during, [still, again]
    if kind is Loss:
        mesh.before = answered(400)
    fault = mesh.fault(kind, **how)
    fault.inject(mesh.deadline())
    mesh.clock.sleep(3)
    healed = fault.heal(mesh.deadline())
    assert healed["echoes"][1]["now"]["answered"] == again.answered
    assert (len(mesh.asked), healed["ordered_ns"]) == (4, 3_000_000_000)
    other = mesh.fault(kind, **how)
    mesh.item, mesh.after, mesh._ended = None, [still], False
    other.inject(mesh.deadline())
    with pytest.raises(WaitTimeoutError, match=f"the effect of the {fault.kind} is over"):
        other.heal(mesh.deadline())


@pytest.mark.parametrize("percent", [0.5, 1, 2, 5, 10, 20, 30, 50, 70, 100])
def test_so_many_echoes_are_sent_that_a_true_loss_is_seen(mesh: ChaosMesh, percent: float) -> None:
    """The probability of too few losses, each way losing its share independently."""
    fault = mesh.fault(Loss, percent=percent)
    count = fault.requests
    either = 1 - (1 - percent / 100) ** 2
    missed = sum(
        comb(count, lost) * either**lost * (1 - either) ** (count - lost) for lost in range(count)
        if fault.effect(answered(count, count), answered(count - lost, count)) < fault.shown
    )
    assert missed < 3e-4


def test_a_partition_is_seen_by_more_than_ten_echoes(mesh: ChaosMesh) -> None:
    """Fewer could be lost by chance."""
    mesh.fault().inject(mesh.deadline())
    assert [count for _, count in mesh.asked] == [20, 20]


def test_a_jitter_that_hides_the_latency_is_refused(mesh: ChaosMesh) -> None:
    """The shortest round trip would tell nothing."""
    with pytest.raises(ValueError, match="hides"):
        mesh.fault(Delay, latency_ms=20, jitter_ms=20)


def test_guests_without_the_service_prove_nothing(mesh: ChaosMesh) -> None:
    """Nothing is ordered then."""

    def refuse(pairs: Sequence[Pair], count: int, deadline: Deadline) -> list[Echoes]:
        raise EchoesError("no service")

    measure: Callable[..., list[Echoes]] = refuse
    mesh.measure = measure  # type: ignore[method-assign]
    with pytest.raises(EchoesError):
        mesh.fault().inject(mesh.deadline())
    assert mesh.item is None
