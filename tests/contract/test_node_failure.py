"""A node falls silent: the lab's controllers on its API server do what was recorded of a real control plane.

The node is a lease that this test renews or not, and a power switch; its pods are objects. What takes minutes on a real
cluster takes seconds here, because the timers are scaled.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from drainproof.api import INSTANCES, MACHINES, NODE_HEALTH_CHECKS, NODES, PODS, Cluster, Object, Resource
from drainproof.clock import SystemClock
from drainproof.journal import Journal
from drainproof.node import Node
from drainproof.wait import Deadline, wait
from lab.client import Client
from lab.config import LabConfig
from lab.controllers import eviction, health_check, nodes, remediation, vm, vmi
from lab.controllers.runtime import run
from lab.kinds import LEASE, NODE
from lab.lifecycle import health_check as given
from lab.machinery.objects import stamp
from scenarios.health_check import acting
from tests.contract.server import ApiServer, running

NAMES = ("node-a", "node-b", "node-c", "node-d")
NAMESPACE = "default"
GRACE, TOLERATION, UNHEALTHY = 2.0, 3.0, 2.0
UNREACHABLE = "node.kubernetes.io/unreachable"
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}


@dataclass
class Switch:
    """The node's power, as a fence agent sees it."""

    off_nodes: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    stuck: bool = False

    async def is_off(self, node: str) -> bool:
        return node in self.off_nodes

    async def off(self, node: str) -> None:
        self.asked.append(f"off {node}")
        if not self.stuck:
            self.off_nodes.add(node)

    async def on(self, node: str) -> None:
        self.asked.append(f"on {node}")
        self.off_nodes.discard(node)


@dataclass
class Plant:
    """The cluster, its nodes' power, and the nodes that are silent."""

    cluster: Cluster
    switch: Switch
    silent: set[str] = field(default_factory=set)

    def node(self) -> Object:
        return self.cluster.find(NODES, "node-a") or {"spec": {}}

    def ready(self) -> str:
        return str(_condition(self.node(), "Ready")["status"])

    def taints(self) -> set[tuple[str, str]]:
        return {(taint["key"], taint["effect"]) for taint in self.node()["spec"].get("taints") or []}

    def instance(self) -> Object | None:
        return self.cluster.find(INSTANCES, "vm", NAMESPACE)

    def uid(self) -> str:
        """The instance's, empty while there is none."""
        return str((self.instance() or {"metadata": {"uid": ""}})["metadata"]["uid"])

    def status(self) -> Object:
        """The instance's, empty while there is none."""
        found: Object = (self.instance() or {}).get("status") or {}
        return found

    def phase(self) -> str:
        return str(self.status().get("phase", ""))

    def reason(self) -> tuple[str, str]:
        """The instance's Ready condition."""
        found = _condition(self.instance() or {"status": {}}, "Ready")
        return found["status"], found.get("reason") or ""

    def check(self) -> Object:
        return self.cluster.get(NODE_HEALTH_CHECKS, given.NAME)

    def pods(self) -> list[Object]:
        return self.cluster.items(PODS, NAMESPACE, fields="spec.nodeName=node-a")

    def until(self, what: str, look: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 20) -> Any:
        return wait(what, look, until=wanted, deadline=Deadline(seconds), every=0.05)


def _condition(item: Object, type_: str) -> Object:
    found = [entry for entry in (item.get("status") or {}).get("conditions", []) if entry["type"] == type_]
    return found[0] if found else {"status": "", "reason": ""}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Four nodes, and a machine whose guest is said to run on the first."""
    with running(tmp_path) as server:
        plant = Plant(Cluster.connect(server.config.kubeconfig), Switch())
        with _beside(lambda stop: _live(server, plant, stop)):
            _start(plant)
            yield plant


@contextmanager
def _beside(work: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run a coroutine in a thread of its own until the block ends."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(work(stop)))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=20)
        loop.close()


async def _live(server: ApiServer, plant: Plant, stop: asyncio.Event) -> None:
    """The controllers, and the agents of all nodes, until told to stop."""
    config = server.config
    controllers = [
        nodes.controller(GRACE), eviction.CONTROLLER, vm.CONTROLLER, vmi.CONTROLLER, health_check.CONTROLLER,
        remediation.controller(plant.switch),
    ]
    settings = replace(config, toleration_seconds=TOLERATION)
    async with Client(config.server_url, config.ca_file, server.token, "lab-controllers") as client:
        for name in NAMES:
            await _join(client, name)
        for kind, body in given.objects(LabConfig(unhealthy_seconds=UNHEALTHY)):
            await client.create(kind, body)
        work = asyncio.create_task(run(settings, client, controllers))
        beat = asyncio.create_task(_beat(client, plant))
        await stop.wait()
        for task in (work, beat):
            task.cancel()
        await asyncio.wait((work, beat))
        await asyncio.sleep(0.1)  # the transports of cancelled watches close in the next turns of the loop


async def _join(client: Client, name: str) -> None:
    labels = {"node-role.kubernetes.io/worker": "", "kubevirt.io/schedulable": "true"}
    await client.create(NODE, {"metadata": {"name": name, "labels": labels}})
    spec = {"holderIdentity": name, "renewTime": "2026-01-01T00:00:00.000000Z"}
    await client.create(LEASE, {"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": spec})


async def _beat(client: Client, plant: Plant) -> None:
    """A node that has power and is not silent renews its lease, and says that it is ready when it is not believed."""
    while True:
        for name in NAMES:
            if name not in plant.silent | plant.switch.off_nodes:
                moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                await client.patch(LEASE, name, {"spec": {"renewTime": moment}}, "kube-node-lease")
                if _condition(await client.get(NODE, name), "Ready")["status"] != "True":
                    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": stamp()}
                    await client.patch(NODE, name, {"status": {"conditions": [ready]}}, subresource="status")
        await asyncio.sleep(GRACE / 8)


def _start(plant: Plant) -> None:
    """What scheduler and agent do for a machine: its pod is bound to the first node and runs, and so does its guest."""
    template = {"spec": {"domain": {"devices": {}, "memory": {"guest": "128Mi"}}}}
    body = {"metadata": {"name": "vm"}, "spec": {"runStrategy": "Always", "template": template}}
    plant.until("the node is Ready", plant.ready, lambda seen: seen == "True")
    plant.cluster.create(MACHINES, body, NAMESPACE)
    found = plant.until("there is a pod", lambda: plant.cluster.items(PODS, NAMESPACE), bool)
    name = found[0]["metadata"]["name"]
    binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "node-a"}}
    plant.cluster.create(Resource("v1", f"pods/{name}/binding", "Binding"), binding, NAMESPACE)
    started = {"state": {"running": {"startedAt": stamp()}}, "name": "compute", "ready": True}
    conditions = [{"type": type_, "status": "True"} for type_ in ("PodScheduled", "ContainersReady", "Ready")]
    status = {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [started], "conditions": conditions}
    plant.cluster.patch(Resource("v1", "pods", "Pod"), f"{name}/status", {"status": status}, NAMESPACE)
    plant.until("the guest may start", plant.phase, lambda seen: seen == "Scheduled")
    passed = [*plant.status()["phaseTransitionTimestamps"], {"phase": "Running", "phaseTransitionTimestamp": stamp()}]
    plant.cluster.patch(
        INSTANCES, "vm", {"status": {"phase": "Running", "phaseTransitionTimestamps": passed}}, NAMESPACE
    )
    plant.until("the machine is Ready", plant.reason, lambda seen: seen == ("True", ""))


def test_a_silent_node_is_lost_and_its_machine_stays_where_it_was(plant: Plant) -> None:
    """As recorded: Unknown, taints, pods not ready, later Terminating for good; the VMI goes on being Running."""
    before = plant.uid()
    plant.silent.add("node-a")
    plant.until("the node is lost", plant.ready, lambda seen: seen == "Unknown")
    unreachable = {(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")}
    plant.until("it is tainted", plant.taints, lambda seen: seen == unreachable)
    plant.until("the machine is not Ready", plant.reason, lambda seen: seen == ("False", ""))
    pod = plant.pods()[0]
    assert (_condition(pod, "Ready")["status"], _condition(pod, "ContainersReady")["status"]) == ("False", "True")
    assert (pod["status"]["phase"], plant.phase()) == ("Running", "Running")
    plant.until("the pod is evicted", plant.reason, lambda seen: seen == ("False", "PodTerminating"))
    SystemClock().sleep(1)
    pod = plant.pods()[0]
    assert pod["metadata"]["deletionTimestamp"]
    assert _condition(pod, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
    assert (pod["status"]["phase"], plant.phase(), plant.uid()) == ("Running", "Running", before)
    assert plant.cluster.get(MACHINES, "vm", NAMESPACE)["status"]["printableStatus"] == "Running"
    plant.silent.clear()
    plant.until("the node is Ready again, its taints gone", lambda: (plant.ready(), plant.taints()),
                lambda seen: seen == ("True", set()))


def test_an_out_of_service_node_gives_its_machine_up(plant: Plant) -> None:
    """The pod goes by force, the VMI fails at once, and the machine is started anew; no eviction has to come first."""
    before = plant.uid()
    plant.silent.add("node-a")
    plant.until("the node is lost", plant.ready, lambda seen: seen == "Unknown")
    Node(plant.cluster, "node-a").taint(**OUT_OF_SERVICE)
    plant.until("its pods are gone", plant.pods, lambda seen: not seen)
    plant.until("there is a new instance", plant.uid, lambda seen: seen not in ("", before))


def test_the_health_check_fences_the_node_and_gives_it_back(plant: Plant) -> None:
    """Paused it only watches; allowed to act it cuts the power first, and leaves no trace of itself."""
    before = plant.uid()
    plant.silent.add("node-a")
    plant.until("the node is lost", plant.ready, lambda seen: seen == "Unknown")
    SystemClock().sleep(UNHEALTHY + 1)
    assert (plant.switch.asked, plant.check()["status"]["phase"]) == ([], "Paused")
    with acting(plant.cluster, Journal()):
        plant.until("the power is cut", lambda: plant.switch.asked[:1], lambda seen: seen == ["off node-a"])
        plant.silent.clear()
        plant.until("there is a new instance", plant.uid, lambda seen: seen not in ("", before))
        plant.until("the node is well", lambda: (plant.ready(), plant.taints()), lambda seen: seen == ("True", set()))
        plant.until("nothing is in flight", plant.check, lambda seen: not seen["status"]["inFlightRemediations"])
    assert plant.switch.off_nodes == set()
    assert plant.check()["spec"]["pauseRequests"] == ["drainproof-lab"]


def test_the_node_was_off_before_its_pods_were_given_up(plant: Plant) -> None:
    """While its power cannot be cut, nothing that may still run there is started elsewhere."""
    plant.switch.stuck = True
    plant.silent.add("node-a")
    with acting(plant.cluster, Journal()):
        plant.until("the power is to be cut", lambda: plant.switch.asked, lambda seen: len(seen) > 2)
        assert OUT_OF_SERVICE["key"] not in {key for key, _ in plant.taints()}
        assert plant.pods()
        assert plant.phase() == "Running"
