"""Faults of the API that Chaos Mesh carries out: what they order, what they take for proof, how they end."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from drainproof.api import HTTP_CHAOS, Cluster, Object, Resource
from drainproof.errors import ApiError, DrainproofError, WaitTimeoutError
from drainproof.wait import Deadline
from scenarios.control_plane import ApiAway, ApiErrors, ApiFault, ApiSlow, WatchesExpired
from tests.unit.harness.fakes import FakeClock


def seconds(text: str) -> float:
    return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))


@dataclass
class ChaosMesh:
    """A cluster with Chaos Mesh in it: an HTTPChaos hits the fake's own requests until its duration is over."""

    clock: FakeClock = field(default_factory=FakeClock)
    injects: bool = True
    item: Object | None = None
    born_ns: int = 0

    @property
    def impatient(self) -> ChaosMesh:
        """Those who look for trouble must not be kept from it by tries of the client."""
        return self

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        assert resource == HTTP_CHAOS
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
        return {**self.item, "status": {"conditions": [{"type": "AllInjected", "status": state}]}}

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


@pytest.mark.parametrize(("slow", "match"), [
    (0.9, "without api-slow before it is injected"), (0.0, "a request meets api-slow"),
])
def test_an_api_that_is_slow_anyway_or_fails_slowly_proves_nothing(mesh: ChaosMesh, slow: float, match: str) -> None:
    """A late answer shows the fault only where answers came in time before, and only when it is an answer."""

    def version() -> str:
        mesh.clock.sleep(slow or 0.9 * (mesh.item is not None))
        if mesh.item is not None:
            raise ApiError("GET", 503, "", "too late")
        return "v1.36.2"

    mesh.version = version  # type: ignore[method-assign]
    with pytest.raises(DrainproofError, match=match):
        ApiSlow(fake(mesh), "ns", 10, delay_ms=800).inject(Deadline(20, mesh.clock))
