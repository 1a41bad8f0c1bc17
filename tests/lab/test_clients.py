"""Pods of clients in a lab without guests: they are processes that live and die with their pods."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from drainproof.api import JOBS, NAMESPACES, PODS, Cluster
from drainproof.errors import WaitTimeoutError
from drainproof.record import Case, CaseReader
from drainproof.wait import Deadline, pause, wait
from fixtures.clients.inside import observing
from fixtures.clients.job import JOB_NAME, NAME, WORKERS, ClientJob
from fixtures.clients.observers import ObserversInside
from fixtures.observers import ObserverError
from fixtures.target import PROJECT
from lab import processes
from lab.agent.container import IMAGE, POD_MARK
from lab.config import LabConfig
from lab.lifecycle import down as stopping

LAB = "pods"
API_PORT = 16720
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def config() -> Iterator[LabConfig]:
    """A lab of one node, and one for clients."""
    command = [sys.executable, "-m", "lab"]
    asked = ["--nodes", "1", "--api-port", str(API_PORT), "--clients", str(PROJECT), "--owner", str(os.getpid())]
    subprocess.run([*command, "up", "--name", LAB, *asked], cwd=PROJECT, check=True, capture_output=True)
    yield stopping.config_of(LAB)
    subprocess.run([*command, "down", "--name", LAB], cwd=PROJECT, check=True, capture_output=True)


@pytest.fixture
def cluster(config: LabConfig) -> Cluster:
    return Cluster.connect(config.kubeconfig)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"clients-{time.monotonic_ns()}"
    cluster.create(NAMESPACES, {"metadata": {"name": name}})
    yield name
    cluster.delete(NAMESPACES, name)


@pytest.fixture
def case(tmp_path: Path, config: LabConfig) -> Iterator[Case]:
    """A case with a plan whose one machine is the node: its agent answers HTTP."""
    writing = Case(tmp_path / "case")
    address = config.node_address("node-a")
    portal = {
        "vms": [{"name": "a", "address": address}], "virtual_ip": address, "http_port": 10250, "virtual_port": 10250,
    }
    plan = {"case_dir": str(writing.directory), "run_id": "r", "portal": portal, "clinic_port": 5557}
    (writing.directory / "plan.json").write_text(json.dumps({**plan, "clinic_workers": 2}))
    yield writing
    writing.close()


def job(namespace: str, workers: int = 1) -> ClientJob:
    return ClientJob(namespace, f"{IMAGE}:here", ("node-a",), workers)


def processes_of(pod_uid: str) -> list[int]:
    return processes.marked(pod_uid, POD_MARK)


def wait_gone(pod_uid: str) -> None:
    wait("nothing of the pod runs", lambda: processes_of(pod_uid), until=lambda left: not left, deadline=Deadline(30))


def see_lost(observers: ObserversInside) -> None:
    try:
        wait("the loss is seen", lambda: observers.check_alive(), until=lambda _: False, deadline=Deadline(30))
    except WaitTimeoutError as error:
        raise AssertionError("nobody saw that the pod was lost") from error


def test_clients_run_on_their_own_node_and_locust_spreads_over_pods(
    cluster: Cluster, namespace: str, case: Case
) -> None:
    """The worker pods' samples are in the observer's record, and all pods end by themselves, as their Jobs do."""
    plan = case.directory / "plan.json"
    with observing(
        ("probe", "clinic"), plan, case, cluster, job(namespace, 2), "pw", Deadline(60), 60
    ) as observers:
        pods = cluster.items(PODS, namespace)
        assert {pod["spec"]["nodeName"] for pod in pods} == {"clients"}
        assert len({pod["status"]["podIP"] for pod in pods}) == len(pods) == 3
        pause(4, Deadline(4))
        observers.check_alive()
    case.merge_samples()
    found = CaseReader(case.directory)
    assert {event.data["index"] for event in found.events("clinic", "worker")} == {0, 1}
    samples = found.samples()
    clinic = sum(samples.count(name) for name in samples if name.startswith("clinic/"))
    assert clinic == found.events("clinic", "stop")[0].data["samples"] > 0
    assert all(event.data["offset_ns"] == 0 for event in found.events("clock", "offset"))
    assert len(found.events("clock", "offset")) == 3
    for name in (NAME, WORKERS):
        wait(
            f"job {name} is complete", lambda name=name: cluster.get(JOBS, name, namespace)["status"],  # type: ignore[misc]
            until=lambda status: any(one["type"] == "Complete" for one in status.get("conditions") or ()),
            deadline=Deadline(30),
        )


def test_a_killed_pod_is_seen_to_be_lost(cluster: Cluster, namespace: str, case: Case) -> None:
    """Its first process dies, so all of it does, the Job fails, and no other pod takes its place."""
    plan = case.directory / "plan.json"
    with observing(("probe",), plan, case, cluster, job(namespace), "pw", Deadline(60), 60) as observers:
        pod = cluster.get(PODS, observers.feed.pod.name, namespace)
        first = min(processes_of(observers.feed.pod.uid), key=lambda pid: psutil.Process(pid).create_time())
        psutil.Process(first).kill()
        with pytest.raises(ObserverError, match=r"is lost.*phase Failed"):
            see_lost(observers)
    wait_gone(pod["metadata"]["uid"])
    assert len(CaseReader(case.directory).events("clients", "lost")) == 1
    assert len(cluster.items(PODS, namespace, labels=f"{JOB_NAME}={NAME}")) == 1


def test_nothing_of_a_pod_outlives_its_namespace(cluster: Cluster, config: LabConfig, case: Case) -> None:
    """As when a run was killed and somebody deletes its namespace: processes, files and address are gone."""
    name = f"gone-{time.monotonic_ns()}"
    cluster.create(NAMESPACES, {"metadata": {"name": name}})
    plan = case.directory / "plan.json"
    with observing(("probe",), plan, case, cluster, job(name), "pw", Deadline(60), 60) as observers:
        uid = observers.feed.pod.uid
        assert len(processes_of(uid)) >= 2
        assert (config.state / "containers" / uid / "files" / "password").read_text() == "pw"
        cluster.delete(NAMESPACES, name)
        wait_gone(uid)
        wait("its files are gone", lambda: (config.state / "containers" / uid).exists(), until=lambda there: not there,
             deadline=Deadline(10))
        with pytest.raises(ObserverError, match="is lost"):
            see_lost(observers)
    wait("the namespace is gone", lambda: cluster.find(NAMESPACES, name), until=lambda found: found is None,
         deadline=Deadline(60))
