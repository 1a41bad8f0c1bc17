"""Faults that Chaos Mesh carries out: what they order, what they take for proof, how they end."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from drainproof.api import HTTP_CHAOS, NETWORK_CHAOS, Cluster, Object, Resource
from drainproof.errors import ApiError, UnexpectedStateError, WaitTimeoutError
from drainproof.wait import Deadline
from scenarios.control_plane import ApiAway, ApiErrors, ApiFault, ApiSlow, WatchesExpired
from scenarios.network import Delay, Loss, NetworkFault, Partition
from tests.unit.harness.fakes import FakeClock

KINDS = (NETWORK_CHAOS, HTTP_CHAOS)


def seconds(text: str) -> float:
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


@dataclass
class ChaosMesh:
    """A cluster with Chaos Mesh in it: an HTTPChaos hits the fake's own requests until its duration is over."""

    clock: FakeClock = field(default_factory=FakeClock)
    pods: tuple[str, ...] = (
        "ns/virt-launcher-vm-0-aaaaa", "ns/virt-launcher-vm-1-bbbbb", "ns/virt-launcher-vm-10-ccccc",
    )
    injects: bool = True
    item: Object | None = None
    born_ns: int = 0

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        assert resource in KINDS
        assert namespace == "ns"
        self.item, self.born_ns = copy.deepcopy(body), self.clock.now_ns
        return self.item

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        found = self.find(resource, name, namespace)
        assert found is not None
        return found

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        self._request("GET")
        if self.item is None:
            return None
        assert self.item["metadata"]["name"] == name
        state = "True" if self.injects and self._in_force else "False"
        records = [{"id": pod, "phase": "Injected"} for pod in self.pods]
        return {**self.item, "status": {
            "conditions": [{"type": "AllInjected", "status": state}], "experiment": {"containerRecords": records}}}

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self._request("DELETE")
        self.item = None

    def version(self) -> str:
        self._request("GET")
        return "v1.36.2"

    @property
    def spec(self) -> dict[str, Any]:
        assert self.item is not None
        return dict(self.item["spec"])

    @property
    def _in_force(self) -> bool:
        return self.item is not None and (self.clock.now_ns - self.born_ns) / 1e9 < seconds(self.spec["duration"])

    def _request(self, method: str) -> None:
        if not (self.injects and self._in_force) or self.spec.get("method", method) != method:
            return
        self.clock.sleep(seconds(self.spec.get("delay", "0s")) if isinstance(self.spec.get("delay"), str) else 0)
        if self.spec.get("abort"):
            raise ApiError(method, 0, "Unreachable", "closed without an answer")
        if self.spec.get("replace"):
            raise ApiError(method, self.spec["replace"]["code"], "", "ordered")


@pytest.fixture
def mesh() -> ChaosMesh:
    return ChaosMesh()


def fake(mesh: ChaosMesh) -> Cluster:
    return cast(Cluster, mesh)


def test_a_partition_orders_both_directions_by_name_and_a_bounded_life(mesh: ChaosMesh) -> None:
    """One side against the other, clients untouched; the proof names the pods; the end is the object's absence."""
    fault = Partition(fake(mesh), "ns", ["vm-0"], ["vm-1", "vm-10"], 60)
    proof = fault.inject(Deadline(10, mesh.clock))
    spec = mesh.spec
    assert (spec["action"], spec["direction"], spec["duration"], spec["mode"]) == ("partition", "both", "60s", "all")
    named = [part["selector"]["expressionSelectors"][0]["values"] for part in (spec, spec["target"])]
    assert named == [["vm-0"], ["vm-1", "vm-10"]]
    assert (fault.kind, fault.target, proof["pods"]) == ("partition", "vm-0", list(mesh.pods))
    assert fault.heal(Deadline(10, mesh.clock))["lasted"] is True
    assert mesh.item is None


@pytest.mark.parametrize(("fault", "part"), [
    (Delay(cast(Cluster, None), "ns", ["a"], ["b"], 9, latency_ms=50, jitter_ms=5),
     {"action": "delay", "delay": {"latency": "50ms", "jitter": "5ms", "correlation": "0"}}),
    (Loss(cast(Cluster, None), "ns", ["a"], ["b"], 9, percent=2.5),
     {"action": "loss", "loss": {"loss": "2.5", "correlation": "0"}}),
])
def test_delay_and_loss_in_chaos_meshs_words(fault: NetworkFault, part: dict[str, Any]) -> None:
    """Numbers become Chaos Mesh's strings."""
    assert fault.action() == part
    assert part.items() <= fault.experiment.spec.items()


def test_a_machine_that_was_not_selected_is_an_error(mesh: ChaosMesh) -> None:
    """AllInjected says nothing about a name that matched no pod; vm-10's pod is not vm-1's."""
    mesh.pods = ("ns/virt-launcher-vm-0-aaaaa", "ns/virt-launcher-vm-10-ccccc",
    )
    with pytest.raises(UnexpectedStateError, match="partition hits vm-1: "):
        Partition(fake(mesh), "ns", ["vm-0"], ["vm-1"], 60).inject(Deadline(10, mesh.clock))


def test_an_experiment_that_is_never_injected_is_an_error(mesh: ChaosMesh) -> None:
    """The last conditions stand in it."""
    mesh.injects = False
    with pytest.raises(WaitTimeoutError, match="AllInjected"):
        Partition(fake(mesh), "ns", ["vm-0"], ["vm-1"], 60).inject(Deadline(10, mesh.clock))


def test_a_partition_that_ended_too_soon_says_so(mesh: ChaosMesh) -> None:
    """Its duration was over before it was healed."""
    fault = Partition(fake(mesh), "ns", ["vm-0"], ["vm-1"], 5)
    fault.inject(Deadline(10, mesh.clock))
    mesh.clock.sleep(6)
    assert fault.heal(Deadline(10, mesh.clock))["lasted"] is False


@pytest.mark.parametrize(("make", "code", "lasts"), [
    (lambda cluster: ApiAway(cluster, "ns", 10), 0, True),
    (lambda cluster: ApiErrors(cluster, "ns", 10, code=500), 500, True),
    (lambda cluster: ApiErrors(cluster, "ns", 10, code=429, retry_after=1), 429, True),
    (lambda cluster: WatchesExpired(cluster, "ns", 10), 410, False),
    (lambda cluster: ApiSlow(cluster, "ns", 10, delay_ms=800), 200, False),
])
def test_a_fault_of_the_api_is_met_by_a_request_and_ends(mesh: ChaosMesh, make: Any, code: int, lasts: bool) -> None:
    """The harness's own request is the proof; what keeps deletions away lasts as long as ordered, the rest ends."""
    fault = cast(ApiFault, make(fake(mesh)))
    proof = fault.inject(Deadline(10, mesh.clock))
    assert proof["code"] == code
    assert mesh.spec["selector"]["labelSelectors"] == {"component": "kube-apiserver"}
    healed = fault.heal(Deadline(30, mesh.clock))
    assert (healed["code"], mesh.item) == (200, None)
    assert (healed["lasted_seconds"] > 9) is lasts
    assert healed["lasted_seconds"] < 13


def test_a_fault_of_the_api_that_nobody_meets_is_an_error(mesh: ChaosMesh) -> None:
    """An object alone proves nothing."""
    mesh.injects = False
    with pytest.raises(WaitTimeoutError, match="a request meets api-away"):
        ApiAway(fake(mesh), "ns", 10).inject(Deadline(20, mesh.clock))


def test_healing_needs_a_deadline_behind_the_end(mesh: ChaosMesh) -> None:
    """While the API is away nobody can end that."""
    fault = ApiAway(fake(mesh), "ns", 10)
    fault.inject(Deadline(10, mesh.clock))
    with pytest.raises(WaitTimeoutError, match="closed without an answer"):
        fault.heal(Deadline(3, mesh.clock))


def test_errors_that_the_harness_cannot_meet_are_refused() -> None:
    """Its own request is a GET."""
    with pytest.raises(ValueError, match="cannot be seen"):
        ApiErrors(cast(Cluster, None), "ns", 10, method="POST")
