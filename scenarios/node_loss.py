"""A node loses its power, is fenced or not, and comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from drainproof.api import NODES, PODS, Cluster, Object
from drainproof.errors import CannotRunError, ConflictError
from drainproof.journal import Journal
from drainproof.node import Node, is_schedulable
from drainproof.record import EventLog
from drainproof.wait import Deadline, wait
from scenarios.fault import SOURCE, Proof
from scenarios.power.driver import PowerDriver, PowerState

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
OUT_OF_SERVICE_VALUE = "nodeshutdown"
LAUNCHER = "kubevirt.io=virt-launcher"
LOOK_SECONDS = 0.5
CONFLICT_PAUSE_SECONDS = 0.1


class Fence(StrEnum):
    """Who says that the node is really off, so that what ran on it may start elsewhere."""

    NOBODY = "nobody"
    """Nobody: its pods stay Terminating, and its machines are restarted nowhere."""
    TAINT = "taint"
    """This fault: it sees the node off through the driver, then sets the out-of-service taint."""
    OPERATOR = "operator"
    """An operator of the cluster, such as a NodeHealthCheck with a remediation; this fault only watches it."""


@dataclass
class NodeLoss:
    """The node's power is cut: its guests are gone at once, and the cluster has to find out."""

    cluster: Cluster
    driver: PowerDriver
    node: str
    journal: Journal
    fence_by: Fence = Fence.NOBODY
    _tainted: bool = field(default=False, init=False)

    kind = "power-off"

    @property
    def target(self) -> str:
        return self.node

    def inject(self, deadline: Deadline) -> Proof:
        """Cut the power, and see through the driver that it is off.

        Raises CannotRunError, before anything is changed, when this driver could not bring the node back, or cannot
        prove what fencing needs proved.
        """
        self._refuse_what_cannot_end_well()
        before = self._power()
        self.journal.power_off(self.node)
        asked_ns = deadline.clock.monotonic_ns()
        self.driver.off(self.node)
        self._wait_power("Off", deadline)
        return {
            "node": self.node, "driver": self.driver.name, "proved": self.driver.proves_off, "before": before,
            "power": "Off", "asked_ns": asked_ns, "seen_ns": deadline.clock.monotonic_ns(),
            "fence_by": str(self.fence_by),
        }

    def fence(self, deadline: Deadline) -> Proof:
        """Have the node fenced as was asked, and wait until the pods that were on it are gone; by nobody: do nothing.

        The out-of-service taint is set only while the driver says Off: on a node that lives it would let two guests
        write to one disk.
        """
        if self.fence_by is Fence.NOBODY:
            return {"node": self.node, "fence_by": str(self.fence_by)}
        begun_ns = deadline.clock.monotonic_ns()
        lost = self._pods()
        if self.fence_by is Fence.TAINT:
            self._wait_power("Off", deadline)
            self.journal.taint(self.node, OUT_OF_SERVICE)
            self._tainted = True
            handle = Node(self.cluster, self.node)
            self._despite_conflicts(lambda: handle.taint(OUT_OF_SERVICE, OUT_OF_SERVICE_VALUE, "NoExecute"), deadline)
        taints = self._wait_gone(set(lost), deadline)
        return {
            "node": self.node, "fence_by": str(self.fence_by), "begun_ns": begun_ns,
            "done_ns": deadline.clock.monotonic_ns(), "taints_ns": taints, "pods": sorted(lost.values()),
        }

    def heal(self, deadline: Deadline) -> Proof:
        """Power the node on, and see it On, Ready, schedulable and free of this fault's taint."""
        asked_ns = deadline.clock.monotonic_ns()
        if self.driver.state(self.node) == "Off":
            self.driver.on(self.node)
        self._wait_power("On", deadline)
        self.journal.powered_on(self.node)
        powered_ns = deadline.clock.monotonic_ns()
        node = self._wait_node("Ready", _is_ready, deadline)
        ready_ns = deadline.clock.monotonic_ns()
        if self._tainted:
            self._despite_conflicts(lambda: Node(self.cluster, self.node).untaint(OUT_OF_SERVICE), deadline)
            self._tainted = False
            self.journal.untainted(self.node, OUT_OF_SERVICE)
        node = self._wait_node("Ready, schedulable and without taints", is_schedulable, deadline)
        return {
            "node": self.node, "power": "On", "asked_ns": asked_ns, "powered_ns": powered_ns, "ready_ns": ready_ns,
            "seen_ns": deadline.clock.monotonic_ns(), "boot_id": node["status"].get("nodeInfo", {}).get("bootID", ""),
        }

    def _refuse_what_cannot_end_well(self) -> None:
        reasons = []
        if not self.driver.powers_on:
            reasons.append(f"The driver {self.driver.name} cannot power {self.node} on again; use redfish or command.")
        if self.fence_by is Fence.TAINT and not self.driver.proves_off:
            reasons.append(
                f"The power driver {self.driver.name} cannot prove that {self.node} is off, so it must not be declared "
                "out of service; use redfish or command."
            )
        if reasons:
            raise CannotRunError(*reasons)

    def _power(self) -> PowerState:
        return self.driver.state(self.node)

    def _wait_power(self, wanted: PowerState, deadline: Deadline) -> None:
        wait(
            f"{self.node} is {wanted}, as its power controller sees it", self._power,
            until=lambda seen: seen == wanted, deadline=deadline, every=LOOK_SECONDS,
        )

    def _wait_node(self, what: str, until: Callable[[Object], bool], deadline: Deadline) -> Object:
        return wait(
            f"node {self.node} is {what}", lambda: self.cluster.get(NODES, self.node), until=until, deadline=deadline,
            every=LOOK_SECONDS, describe=_described,
        )

    def _pods(self) -> dict[str, str]:
        """The launcher pods on the node, by uid."""
        pods = self.cluster.items(PODS, labels=LAUNCHER, fields=f"spec.nodeName={self.node}")
        return {str(pod["metadata"]["uid"]): str(pod["metadata"]["name"]) for pod in pods}

    def _wait_gone(self, lost: set[str], deadline: Deadline) -> dict[str, int]:
        """Wait until none of these pods is left; the taints that the node bore meanwhile, when each was first seen."""
        taints: dict[str, int] = {}

        def look() -> list[str]:
            node = self.cluster.get(NODES, self.node)
            for taint in node["spec"].get("taints") or []:
                taints.setdefault(str(taint["key"]), deadline.clock.monotonic_ns())
            return sorted(name for uid, name in self._pods().items() if uid in lost)

        wait(
            f"the pods of {self.node} are removed, because {self.fence_by} has fenced it", look,
            until=lambda left: not left, deadline=deadline, every=LOOK_SECONDS,
        )
        return taints

    @staticmethod
    def _despite_conflicts(change: Callable[[], None], deadline: Deadline) -> None:
        """The node controller changes the same list of taints at the same time; the last conflict is raised."""
        while not deadline.expired:
            with suppress(ConflictError):
                change()
                return
            deadline.clock.sleep(CONFLICT_PAUSE_SECONDS)
        change()


def fenced(fault: NodeLoss, events: EventLog, number: int, seconds: float) -> None:
    """Fence within an injected fault, with the evidence in the record as `fenced`."""
    proof = fault.fence(Deadline(seconds))
    events.add(SOURCE, "fenced", f"{fault.kind}/{number}", fault=fault.kind, target=fault.target, **proof)


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _described(node: Object) -> object:
    conditions = {entry["type"]: entry["status"] for entry in node.get("status", {}).get("conditions", [])}
    taints = [f"{taint['key']}:{taint['effect']}" for taint in node["spec"].get("taints") or []]
    unschedulable = node["spec"].get("unschedulable", False)
    return {"ready": conditions.get("Ready"), "unschedulable": unschedulable, "taints": taints}
