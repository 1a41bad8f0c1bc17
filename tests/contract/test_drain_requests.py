"""How often a drain asks the API server: as often for one that takes long as for one that is over at once."""

from __future__ import annotations

import threading

import pytest

from drainproof.api import INSTANCES, MIGRATIONS, NODES, PODS, Cluster
from drainproof.journal import Journal
from drainproof.record import Case, CaseReader, Event
from drainproof.vm import NAME_LABEL, VirtualMachine
from drainproof.wait import Deadline, pause, wait
from scenarios import evictions
from scenarios.drain import Drain
from tests.contract.server import ApiServer

ELSEWHERE = "node-elsewhere"
MERGE = {"Content-Type": "application/merge-patch+json"}
LIMIT = 40
"""Requests per drained machine."""


class Machines:
    """Machines on a node, whose migrations end so many seconds after they were asked to leave."""

    def __init__(self, server: ApiServer, namespace: str, node: str, names: tuple[str, ...]) -> None:
        self.server, self.cluster = server, Cluster.connect(server.config.kubeconfig)
        self.namespace, self.node, self.names = namespace, node, names
        for name in names:
            self._make(name)

    def migrate(self, name: str, seconds: float) -> None:
        """What KubeVirt does once a machine is marked."""
        wait(f"{name} is marked", lambda: self._mark(name), until=bool, deadline=Deadline(20), every=0.05)
        pause(seconds, Deadline(seconds))
        migration = {"metadata": {"generateName": f"{name}-", "namespace": self.namespace}, "spec": {"vmiName": name}}
        uid = self.cluster.create(MIGRATIONS, migration, self.namespace)["metadata"]["uid"]
        self._set_phase(name, "Succeeded")
        self._set(name, nodeName=ELSEWHERE, evacuationNodeName=None, migrationState={"migrationUid": uid})

    def _mark(self, name: str) -> str:
        found = self.cluster.get(INSTANCES, name, self.namespace)
        return str(found["status"].get("evacuationNodeName", ""))

    def _set(self, name: str, **status: object) -> None:
        self.cluster.patch(INSTANCES, name, {"status": status}, self.namespace)

    def _make(self, name: str) -> None:
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "LiveMigratable")]
        made = self.cluster.create(INSTANCES, {
            "metadata": {"name": name}, "spec": {"evictionStrategy": "LiveMigrate", "domain": {"devices": {}}},
            "status": {"phase": "Running", "nodeName": self.node, "conditions": conditions},
        }, self.namespace)
        owner = {
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": name,
            "uid": made["metadata"]["uid"], "controller": True,
        }
        self.cluster.create(PODS, {
            "metadata": {
                "name": f"virt-launcher-{name}", "annotations": {"kubevirt.io/domain": name},
                "labels": {"kubevirt.io": "virt-launcher", NAME_LABEL: name}, "ownerReferences": [owner],
            },
            "spec": {"nodeName": self.node, "containers": [{"name": "compute", "image": "example/launcher"}]},
        }, self.namespace)
        self._set_phase(name, "Running")

    def _set_phase(self, name: str, phase: str) -> None:
        path = f"{PODS.path(self.namespace, f'virt-launcher-{name}')}/status"
        answer = self.server.call("PATCH", path, {"status": {"phase": phase}}, headers=MERGE)
        assert answer.status == 200


def drained(cluster: Cluster, machines: Machines, case: Case, seconds: float) -> list[Event]:
    """The events of a drain during which each migration takes so long."""
    handles = [VirtualMachine(cluster, name, machines.namespace) for name in machines.names]
    threads = [threading.Thread(target=machines.migrate, args=(name, seconds)) for name in machines.names]
    for thread in threads:
        thread.start()
    journal = Journal.of(case.directory.parent)
    Drain(cluster, machines.node, handles, case.events, journal).run(Deadline(60))
    for thread in threads:
        thread.join()
    return CaseReader(case.directory).events()


@pytest.mark.parametrize("seconds", [0.0, 6.0])
def test_a_drain_asks_no_more_the_longer_it_takes(
    cluster: Cluster, api_server: ApiServer, case: Case, namespace: str, node: str, seconds: float
) -> None:
    """Each machine is asked to leave once, its log read once, its finished launcher removed, its migration looked up.
    """
    machines = Machines(api_server, namespace, node, ("a", "b"))
    events = drained(cluster, machines, case, seconds)
    (told,) = [event.data for event in events if event.kind == "requests"]
    by = dict(told["by"])
    # Uncordoned, the node is read until its taint is gone, which nobody takes away here: there is no such controller.
    assert by.pop("get nodes") >= 1
    # There is no kubelet either that could tell a log: each is asked for again, for a few seconds.
    assert by.pop("get pods/log") - told["repeats"] == 2
    assert by == {
        "list pods": 2, "watch pods": 1, "patch nodes": 2, "list virtualmachineinstances": 1,
        "watch virtualmachineinstances": 1, "create pods/eviction": 4,
        "list virtualmachineinstancemigrations": 2,
    }
    assert told["vms"] == 2
    assert told["requests"] < 2 * LIMIT
    codes = [event.data["code"] for event in events if event.kind == "evict"]
    assert sorted(codes) == [201, 201, 429, 429]
    assert {event.object: event.data["live"] for event in events if event.kind == "migrated"} == {"a": True, "b": True}
    assert cluster.get(NODES, node)["spec"].get("unschedulable") is None


def test_a_machine_whose_mark_was_lost_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, api_server: ApiServer, case: Case, namespace: str, node: str
) -> None:
    """Somebody has cancelled its evacuation: without another eviction it would stay for ever."""
    monkeypatch.setattr(evictions, "FIRST_RETRY_SECONDS", 1.0)
    machines = Machines(api_server, namespace, node, ("a",))

    def forget_once() -> None:
        wait("a is marked", lambda: machines._mark("a"), until=bool, deadline=Deadline(20), every=0.05)
        machines._set("a", evacuationNodeName=None)
        machines.migrate("a", 0)

    thread = threading.Thread(target=forget_once)
    thread.start()
    handle = VirtualMachine(cluster, "a", namespace)
    Drain(cluster, node, [handle], case.events, Journal.of(case.directory.parent)).run(Deadline(30))
    thread.join()
    codes = [event.data["code"] for event in CaseReader(case.directory).events() if event.kind == "evict"]
    # Its launcher may be asked once more, with so short a pause, before the watch has told that it is gone.
    assert [code for code in codes if code != 404] == [429, 429, 201]
