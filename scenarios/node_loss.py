"""A node loses its power, is fenced or not, and comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from drainproof.api import NODES, PODS, Cluster, Object
from drainproof.errors import CannotRunError, ConflictError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.node import Node, is_schedulable
from drainproof.record import EventLog
from drainproof.wait import Deadline, wait
from scenarios.fault import SOURCE, Proof
from scenarios.power.driver import PowerDriver, PowerError, PowerState

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
OUT_OF_SERVICE_VALUE = "nodeshutdown"
LAUNCHER = "kubevirt.io=virt-launcher"
LOOK_SECONDS = 0.5
CONFLICT_PAUSE_SECONDS = 0.1
CONTROLLER_SECONDS = 30.0
"""So long may a power controller give no answer before it is asked for anything, and say On after it was told Off."""


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
    _boot_id: str = field(default="", init=False)
    """The node's boot before its power was cut; empty when it told none."""
    _off_asked: bool = field(default=False, init=False)
    _off_seen: bool = field(default=False, init=False)
    """Whether the controller has said Off since it was asked for it."""

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
        before = self._wait_power(("On", "Off"), deadline.at_most(CONTROLLER_SECONDS))
        self._boot_id = _boot_id(self.cluster.get(NODES, self.node))
        self._off_asked = True
        self.journal.power_off(self.node)
        asked_ns = deadline.clock.monotonic_ns()
        self.driver.off(self.node)
        self._wait_power(("Off",), deadline)
        return {
            "node": self.node, "driver": self.driver.name, "proved": self.driver.proves_off, "before": before,
            "power": "Off", "asked_ns": asked_ns, "seen_ns": deadline.clock.monotonic_ns(),
            "fence_by": str(self.fence_by), "boot_id": self._boot_id,
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
            self._wait_power(("Off",), deadline)
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
        """Power the node on, and see it On, Ready in a new boot, schedulable and free of this fault's taint.

        A controller may go on saying On for a while after it took the order to cut the power; On before Off proves
        nothing, so Off is waited for first. A node whose power was never to be cut is left as it is.
        """
        if not self._off_asked:
            return {"node": self.node, "untouched": True}
        if not self._off_seen:
            with suppress(WaitTimeoutError):
                self._wait_power(("Off",), deadline.at_most(CONTROLLER_SECONDS))
        asked_ns = deadline.clock.monotonic_ns()
        wait(
            f"the power controller of {self.node} takes the order to power it on", self._refused_on,
            until=lambda refused: refused is None, deadline=deadline, every=LOOK_SECONDS,
        )
        self._wait_power(("On",), deadline)
        self.journal.powered_on(self.node)
        powered_ns = deadline.clock.monotonic_ns()
        self._wait_node("Ready in a new boot" if self._reboots else "Ready", self._is_back, deadline)
        ready_ns = deadline.clock.monotonic_ns()
        if self._tainted:
            self._despite_conflicts(lambda: Node(self.cluster, self.node).untaint(OUT_OF_SERVICE), deadline)
            self._tainted = False
            self.journal.untainted(self.node, OUT_OF_SERVICE)
        node = self._wait_node("Ready, schedulable and without taints", is_schedulable, deadline)
        return {
            "node": self.node, "power": "On", "asked_ns": asked_ns, "powered_ns": powered_ns, "ready_ns": ready_ns,
            "seen_ns": deadline.clock.monotonic_ns(), "boot_id": _boot_id(node),
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

    def _power(self) -> PowerState | PowerError:
        """What the controller says; while it does not answer, why."""
        try:
            seen = self.driver.state(self.node)
        except PowerError as error:
            return error
        self._off_seen = self._off_seen or (self._off_asked and seen == "Off")
        return seen

    def _wait_power(self, wanted: Sequence[PowerState], deadline: Deadline) -> PowerState | PowerError:
        return wait(
            f"{self.node} is {' or '.join(wanted)}, as its power controller sees it", self._power,
            until=lambda seen: seen in wanted, deadline=deadline, every=LOOK_SECONDS,
        )

    def _refused_on(self) -> PowerError | None:
        """Ask for power; why that was refused, unless it was because the node has power."""
        seen = self._power()
        try:
            self.driver.on(self.node)
        except PowerError as error:
            return None if seen == "On" else error
        return None

    @property
    def _reboots(self) -> bool:
        """Whether the node has lost its power, so that it comes back in a boot that can be told from the one before."""
        return self._off_seen and bool(self._boot_id)

    def _is_back(self, node: Object) -> bool:
        """Ready alone proves nothing: Kubernetes keeps it True until a dead node's grace has passed."""
        return _is_ready(node) and not (self._reboots and _boot_id(node) == self._boot_id)

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


def _boot_id(node: Object) -> str:
    """The boot that the node is in; empty when it does not tell."""
    return str(node.get("status", {}).get("nodeInfo", {}).get("bootID", ""))


def _described(node: Object) -> object:
    conditions = {entry["type"]: entry["status"] for entry in node.get("status", {}).get("conditions", [])}
    taints = [f"{taint['key']}:{taint['effect']}" for taint in node["spec"].get("taints") or []]
    unschedulable = node["spec"].get("unschedulable", False)
    return {
        "ready": conditions.get("Ready"), "unschedulable": unschedulable, "taints": taints, "boot_id": _boot_id(node),
    }
