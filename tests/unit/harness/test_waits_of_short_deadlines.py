"""A wait ends when its own deadline does, however long a client would go on with an API that does not answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drainproof.api import Cluster
from drainproof.errors import ApiError
from drainproof.journal import Journal
from drainproof.namespaces import delete_namespace
from drainproof.record import Case, Run
from drainproof.wait import Deadline
from scenarios import drain, health_check
from tests.unit.harness.fakes import FakeClock
from tests.unit.harness.stub_api import Step, Stub, kubeconfig, status, stub_api

VERSION = Step(body={"gitVersion": "v1.36.2"})
CHECKS = Step(body={"metadata": {}, "items": [{"metadata": {"name": "nhc"}, "spec": {}, "status": {}}]})
SECONDS = 5.0


@pytest.fixture
def api() -> Iterator[Stub]:
    with stub_api() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster(api: Stub, tmp_path: Path, clock: FakeClock) -> Cluster:
    """One that has answered before; its own patience would last for 45 s."""
    connected = Cluster.connect(kubeconfig(tmp_path, api.url)).within(Deadline(600, clock))
    api.answers(VERSION)
    connected.version()
    return connected


def uncordoned(cluster: Cluster, directory: Path, _clock: FakeClock) -> None:
    case = Case(Run(directory).directory / "case")
    try:
        drain.Drain(cluster, "node-a", (), case.events, Journal())._uncordon()
    finally:
        case.close()


def acting(cluster: Cluster, _directory: Path, _clock: FakeClock) -> None:
    with health_check.acting(cluster, Journal()):
        pass


def deleted(cluster: Cluster, _directory: Path, clock: FakeClock) -> None:
    delete_namespace(cluster, "ns", Deadline(SECONDS, clock))


@pytest.mark.parametrize(
    ("before", "do"),
    [([Step()], uncordoned), ([CHECKS], acting), ([], deleted), ([Step()], deleted)],
    ids=["uncordon", "health-check", "namespace", "namespace-going"],
)
def test_a_wait_ends_by_its_own_deadline(
    cluster: Cluster, api: Stub, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    before: list[Step], do: Callable[[Cluster, Path, FakeClock], None],
) -> None:
    """Five seconds are not turned into forty-five by other tries."""
    for module in (drain, health_check):
        monkeypatch.setattr(module, "Deadline", lambda seconds: Deadline(seconds, clock))
    monkeypatch.setattr(drain, "UNCORDON_SECONDS", SECONDS)
    monkeypatch.setattr(health_check, "STATUS_SECONDS", SECONDS)
    api.answers(*before, status(503))
    begun = clock.now_ns
    with pytest.raises(ApiError, match="503"):
        do(cluster, tmp_path, clock)
    assert (clock.now_ns - begun) / 1e9 <= SECONDS
