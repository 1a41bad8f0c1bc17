"""Clients in a pod, behind the lab's real API server: the record that comes back, another clock, a pod that dies."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from drainproof.api import Cluster
from drainproof.record import Case, CaseReader
from drainproof.wait import Deadline, wait
from fixtures.clients.inside import observing
from fixtures.clients.job import ClientJob
from fixtures.clients.observers import ObserversInside
from fixtures.clients.pod import ClientPod, ClientsError
from fixtures.observers import ObserverError
from tests.contract.client_pods import PodProcess, pod_of_clients
from tests.contract.server import ApiServer
from tests.unit.load.conftest import Server, plan_data

PASSWORD = "canary-of-the-database"
ELSEWHEN = 5000
"""By so many seconds the clock of another host is ahead in these tests."""
_numbers = itertools.count(10)

Start = Callable[..., AbstractContextManager[ObserversInside]]


@pytest.fixture
def address() -> str:
    """A loopback address of the test's own: the pod's port is always the same."""
    return f"127.0.{os.getpid() % 200 + 20}.{next(_numbers)}"


@pytest.fixture
def web() -> Iterator[Server]:
    """What the probe asks."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    writing = Case(tmp_path / "case")
    yield writing
    writing.close()


@pytest.fixture
def start(cluster: Cluster, namespace: str, case: Case, web: Server) -> Start:
    """The probe in a pod, for the length of a block."""
    data = plan_data(case.directory, web.server_port)
    data["portal"]["virtual_port"] = web.server_port
    plan = case.directory / "plan.json"
    plan.write_text(json.dumps(data))
    job = ClientJob(namespace, "registry.example/clients:1", ("node-a",), 1, {"metrics-probe": 9301})
    return partial(observing, ("probe",), plan, case, cluster, job, PASSWORD, Deadline(30), 30.0)


@pytest.fixture
def pod(
    api_server: ApiServer, cluster: Cluster, namespace: str, address: str, tmp_path: Path
) -> Iterator[PodProcess]:
    with pod_of_clients(api_server, cluster, namespace, address, tmp_path / "pod") as running:
        yield running


def samples_of(observers: ObserversInside) -> int:
    observers.check_alive()
    return int(observers.running[0].status.get("samples", 0))


def wait_for_samples(observers: ObserversInside, least: int) -> None:
    wait(f"{least} samples", lambda: samples_of(observers), until=lambda count: count >= least, deadline=Deadline(20))


def told(case: Case) -> CaseReader:
    case.merge_samples()
    return CaseReader(case.directory)


def test_what_a_pod_saw_comes_back_as_the_same_record(
    start: Start, pod: PodProcess, case: Case, cluster: Cluster, tmp_path: Path
) -> None:
    """Samples, events and logs are those of an observer on this host; few requests; no secret is in any of it."""
    before = cluster.requests.total
    with start() as observers:
        wait_for_samples(observers, 30)
        assert observers.totals()["rps"] > 0
    found = told(case)
    (stop,) = found.events("probe", "stop")
    samples = found.samples()
    assert sum(samples.count(name) for name in samples) == stop.data["samples"] >= 30
    assert [event.data["code"] for event in found.events("observer", "ended")] == [0]
    (clock,) = found.events("clock", "offset")
    assert clock.data["one_clock"] is True
    assert clock.data["offset_ns"] == 0
    measured = clock.data["measured"]
    assert abs(measured["offset_ns"]) <= measured["uncertainty_ns"] < 1e9
    assert (case.directory / "logs" / "probe.log").exists()
    wait("the pod has ended by itself", lambda: pod.processes[0].poll(), until=lambda code: code == 0,
         deadline=Deadline(10))
    written = b"".join(path.read_bytes() for path in case.directory.rglob("*") if path.is_file()) + pod.log.encode()
    token = (tmp_path / "pod" / "files" / "token").read_bytes()
    assert (tmp_path / "pod" / "files" / "password").read_text() == PASSWORD
    assert PASSWORD.encode() not in written
    assert token not in written
    assert cluster.requests.total - before < 40


def test_another_clock_is_found_and_all_is_put_on_this_one(
    start: Start, api_server: ApiServer, cluster: Cluster, namespace: str, address: str, case: Case, tmp_path: Path
) -> None:
    """A pod whose monotonic clock is ahead by hours: what it tells lies within the time in which it ran."""
    prefix = ("unshare", "--time", "--monotonic", str(ELSEWHEN), "--fork")
    if subprocess.run([*prefix, sys.executable, "-c", ""], check=False, capture_output=True).returncode != 0:
        pytest.skip("a clock of its own takes a time namespace, which needs root and Linux 5.6")
    begun = time.monotonic_ns()
    with pod_of_clients(api_server, cluster, namespace, address, tmp_path / "pod", prefix), start() as observers:
        wait_for_samples(observers, 30)
    ended = time.monotonic_ns()
    found = told(case)
    (clock,) = found.events("clock", "offset")
    assert clock.data["one_clock"] is False
    assert abs(clock.data["offset_ns"] + ELSEWHEN * 10**9) <= clock.data["uncertainty_ns"]
    samples = found.samples()
    starts = [int(edge) for name in samples for edge in samples[name].start_ns[[0, -1]]]
    assert all(begun < edge < ended for edge in starts)
    assert all(begun < event.t_ns < ended for event in found.events())
    assert found.events("probe", "start")


def test_a_pod_that_dies_is_lost_and_the_record_says_so(start: Start, pod: PodProcess, case: Case) -> None:
    """Whoever looks is told; no sample is left, and the observer's end is known to nobody."""
    with start() as observers:
        wait_for_samples(observers, 10)
        pod.die()
        with pytest.raises(ObserverError, match="is lost, and what its observers saw with it: phase Failed"):
            wait("the loss is seen", lambda: observers.check_alive(), until=lambda _: False, deadline=Deadline(20))
    found = told(case)
    assert [event.data["code"] for event in found.events("observer", "ended")] == [None]
    assert len(found.events("clients", "lost")) == 1
    assert len(found.samples()) == 0


def test_who_does_not_know_the_token_is_refused(start: Start, pod: PodProcess, cluster: Cluster) -> None:
    """Others may reach the pod through the API too."""
    with start() as observers:
        mine = observers.feed.pod
        stranger = ClientPod(cluster, mine.namespace, mine.name, mine.uid, "guessed", cluster.session())
        with pytest.raises(ClientsError, match="403"):
            stranger.order("stop")
        with pytest.raises(ClientsError, match="no program of clients"):
            mine.order("start", ["../../bin/sh"])
        observers.check_alive()
