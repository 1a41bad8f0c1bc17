"""Runs that are killed at any moment, on the lab's real API server: whatever they were at, a cleanup undoes it.

The run is a process that changes a cluster without a pause as runs do, by the same journal and through the same guard,
so that a kill finds it between a word and its deed as often as anywhere. bench/killing.py kills whole certifications.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.picture import differences, picture
from drainproof.allowed import Allowed
from drainproof.api import MIGRATION_POLICIES, NODES, SECRETS, Cluster
from drainproof.cleanup import leavings_in
from drainproof.clock import SystemClock
from drainproof.heartbeat import Heartbeat, Pulses, pulses
from drainproof.journal import Journal
from drainproof.journal.copy import ClusterCopy
from drainproof.leases import NodeClaims
from drainproof.namespaces import create_namespace, delete_namespace
from drainproof.node import Node
from drainproof.ownership import Owner
from drainproof.run_cluster import Bounds, RunCluster
from drainproof.wait import Deadline
from tests.contract.finalizing import finalizing
from tests.contract.server import ApiServer, running
from tests.unit.harness.fakes import FakeClock

KILLS = int(os.environ.get("DRAINPROOF_KILLS", "12"))
LONGEST_SECONDS = 0.8
CONTROL = "default"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NODE_NAMES = ("kill-a", "kill-b")


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of this module's own: what other tests left on theirs might go between two pictures."""
    with running(tmp_path_factory.mktemp("killed")) as server:
        yield server


@pytest.fixture
def admin(api_server: ApiServer) -> Iterator[Cluster]:
    """Nodes that may be disturbed, and namespaces that go when they are deleted."""
    cluster = Cluster.connect(api_server.config.kubeconfig)
    for name in NODE_NAMES:
        labels = {"kubevirt.io/schedulable": "true"}
        cluster.create(NODES, {"metadata": {"name": name, "labels": labels}, "spec": {}})
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        merge = {"Content-Type": "application/merge-patch+json"}
        api_server.call("PATCH", f"/api/v1/nodes/{name}/status", ready, headers=merge)
    with finalizing(api_server):
        yield cluster
    for name in NODE_NAMES:
        cluster.delete(NODES, name)


def live(kubeconfig: Path, run_id: str, seed: int) -> None:
    """Change the cluster again and again as a run does, and undo it, until killed."""
    cluster, chance = RunCluster.connect(kubeconfig), random.Random(seed)
    owner, allowed = Owner(run_id, "somebody@somewhere", 60), Allowed(NODE_NAMES)
    cluster.keep_to(Bounds(owner, allowed, CONTROL))
    Heartbeat(cluster, CONTROL, run_id, 8, lambda: LONG_AGO).begin()
    copy = ClusterCopy(cluster, CONTROL, run_id)
    copy.begin(owner)
    journal = Journal(copy=copy)
    journal.opened("", "", lab=False, control_namespace=CONTROL)
    claims = NodeClaims(cluster, f"{run_id}/case", journal, lambda: LONG_AGO, allowed=allowed, namespace=CONTROL)
    deeds = [lambda: _namespace(cluster, journal, run_id), lambda: _policy(cluster, journal, run_id)]
    while True:
        claims.take(2)
        for name in NODE_NAMES:
            chance.choice([*deeds, lambda name=name: _node(cluster, journal, name)])()  # type: ignore[misc]
        claims.release(NODE_NAMES)


def _node(cluster: RunCluster, journal: Journal, name: str) -> None:
    node = Node(cluster, name)
    journal.cordon(name)
    node.cordon()
    journal.taint(name, "mine")
    node.taint("mine", "yes", "NoSchedule")
    node.untaint("mine")
    journal.untainted(name, "mine")
    node.uncordon()
    journal.uncordoned(name)


def _namespace(cluster: RunCluster, journal: Journal, run_id: str) -> None:
    name = f"drainproof-{run_id}"
    create_namespace(cluster, name, journal)
    cluster.apply(SECRETS, {"metadata": {"name": "init"}, "stringData": {"a": "b"}}, name)
    delete_namespace(cluster, name, Deadline(10))
    journal.deleted(name)


def _policy(cluster: RunCluster, journal: Journal, run_id: str) -> None:
    path = MIGRATION_POLICIES.path(name=f"drainproof-{run_id}-1")
    journal.creating(path)
    cluster.create(MIGRATION_POLICIES, {"metadata": {"name": f"drainproof-{run_id}-1"}, "spec": {"selectors": {}}})
    cluster.remove(path)
    journal.removed(path)


def killed(after: float, do: Any, *arguments: Any) -> None:
    """Do it in a process of its own, and kill that after so many seconds."""
    pid = os.fork()
    if not pid:
        try:
            do(*arguments)
        finally:
            os._exit(0)
    SystemClock().sleep(after)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def at_once(cluster: Cluster, namespace: str) -> Pulses:
    """Nobody need wait for a second look: the clock is a fake one, and the heartbeat long past."""
    return pulses(cluster, namespace, clock=FakeClock())


def clean(kubeconfig: Path) -> list[str]:
    """What a cleanup could not do."""
    troubles: list[str] = []
    leavings_in(Cluster.connect(kubeconfig), CONTROL, "", look=at_once).undone(lambda _: None, troubles.append)
    return troubles


def test_killed_at_any_moment_all_is_undone(
    api_server: ApiServer, admin: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed, and every second time the first cleanup as well; then one cleanup, from memory of nothing."""
    monkeypatch.setattr("drainproof.cleanup._process_lives", lambda opening: False)
    kubeconfig, chance = api_server.config.kubeconfig, random.Random(1)
    before, changed = picture(admin), 0
    for number in range(KILLS):
        after = chance.uniform(0.02, LONGEST_SECONDS)
        killed(after, live, kubeconfig, f"k-{number}", number)
        changed += bool(differences(before, picture(admin)))
        if number % 2:
            killed(chance.uniform(0.02, LONGEST_SECONDS / 2), clean, kubeconfig)
        assert clean(kubeconfig) == [], (number, after)
        assert differences(before, picture(admin)) == [], (number, after)
    assert changed > KILLS / 3, "kills have to find something to be undone"
