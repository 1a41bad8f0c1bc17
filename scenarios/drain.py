"""Drain a node as kubectl does: cordon it, evict its pods until they are gone, and uncordon it afterwards.

The drain proves itself: it happened when the node was cordoned and every virtual machine on it was asked to leave, and
it healed when the node is schedulable again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drainproof.api import MIGRATIONS, NODES, Cluster, Object
from drainproof.errors import CannotRunError, EvictionRefusedError, NotFoundError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.node import Node, is_schedulable
from drainproof.record import EventLog
from drainproof.vm import NAME_LABEL, Instance, VirtualMachine
from drainproof.wait import Deadline, pause, wait
from scenarios.launcher_log import keep_downtime

RETRY_SECONDS = 1.0
"""Pause before a refused eviction is asked again; kubectl waits 5 s, which only makes the record coarser."""


@dataclass(frozen=True)
class Drain:
    """The drain of one node, as a fault that can be injected into a running service."""

    cluster: Cluster
    node: str
    machines: Sequence[VirtualMachine]
    """The virtual machines that are watched; only those on the node are expected to move."""
    events: EventLog
    journal: Journal

    def run(self, deadline: Deadline) -> None:
        """Drain the node, see the virtual machines Ready elsewhere, uncordon it whatever happened, record the proof.

        Raises CannotRunError, before anything is done, when a pod on it has no controller and would be lost, and
        WaitTimeoutError when pods or machines did not leave in time.
        """
        if lost := Node(self.cluster, self.node).unmanaged_pods():
            raise CannotRunError(
                f"Node {self.node} has pods that no controller would create again: {', '.join(sorted(lost))}; "
                "remove them, or use other nodes."
            )
        before = {machine.name: machine.instance for machine in self.machines}
        moving = sorted(name for name, instance in before.items() if instance and instance.node == self.node)
        self.events.add("drain", "begin", self.node, vms=moving)
        asked: set[str] = set()
        trouble = ""
        try:
            self._cordon()
            self._evict_all(asked, deadline)
            self._see_migrations_through(before, moving, deadline)
        except BaseException as error:
            trouble = f"{type(error).__name__}: {error}"
            raise
        finally:
            healed = self._uncordon()
            self.events.add("drain", "end", self.node, vms=moving, **({"error": trouble} if trouble else {}))
            self._prove(moving, asked, healed, trouble)

    def _cordon(self) -> None:
        self.journal.cordon(self.node)
        Node(self.cluster, self.node).cordon()
        self.events.add("drain", "cordoned", self.node)

    def _uncordon(self) -> bool:
        Node(self.cluster, self.node).uncordon()
        self.events.add("drain", "uncordoned", self.node)
        seen = wait(
            f"node {self.node} is schedulable again",
            lambda: self.cluster.get(NODES, self.node),
            until=is_schedulable,
            deadline=Deadline(15),
            describe=lambda node: node.get("spec"),
        )
        self.journal.uncordoned(self.node)
        return is_schedulable(seen)

    def _evict_all(self, asked: set[str], deadline: Deadline) -> None:
        """Evict until no pod is left that has to go; adds the virtual machines that were asked to leave to `asked`."""
        read: set[str] = set()
        while True:
            pods = Node(self.cluster, self.node).pods_to_evict()
            if not pods:
                return
            for pod in pods:
                self._keep_launcher_log(pod, read)
                if not self._is_leaving(pod):
                    self._evict(pod)
                if machine := self._machine_of(pod):
                    asked.add(machine.name)
            if deadline.expired:
                left = [f"{pod['metadata']['name']} ({pod['status'].get('phase')})" for pod in pods]
                raise WaitTimeoutError(f"node {self.node} is drained", deadline.seconds, f"still there: {left}")
            pause(RETRY_SECONDS, deadline)

    def _is_leaving(self, pod: Object) -> bool:
        """Whether a watched machine's running launcher has been asked already, or its machine has just moved.

        An eviction at the very end of a migration would remove the finished launcher, and its log, before it was read.
        """
        machine = self._machine_of(pod)
        if machine is None or pod["status"].get("phase") != "Running":
            return False
        instance = machine.instance
        return instance is not None and (instance.node != self.node or instance.evacuation_node == self.node)

    def _machine_of(self, pod: Object) -> VirtualMachine | None:
        """The watched machine whose launcher the pod is."""
        meta = pod["metadata"]
        wanted = (meta["namespace"], meta.get("labels", {}).get(NAME_LABEL))
        return next((one for one in self.machines if (one.namespace, one.name) == wanted), None)

    def _evict(self, pod: Object) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        machine = pod["metadata"].get("labels", {}).get(NAME_LABEL, "")
        if pod["metadata"].get("deletionTimestamp"):
            return
        code, message = 201, "evicted"
        try:
            self.cluster.evict(name, namespace)
        except EvictionRefusedError as error:
            code, message = error.code, error.message
        except NotFoundError as error:
            code, message = error.code, "gone already"
        self.events.add("drain", "evict", name, code=code, message=message, vm=machine)

    def _keep_launcher_log(self, pod: Object, read: set[str]) -> None:
        """Read a finished launcher's log once: the next eviction removes it."""
        uid = pod["metadata"]["uid"]
        machine = pod["metadata"].get("labels", {}).get(NAME_LABEL)
        if not machine or uid in read or pod["status"].get("phase") != "Succeeded":
            return
        read.add(uid)
        keep_downtime(self.cluster, self.events, pod)

    def _see_migrations_through(
        self, before: dict[str, Instance | None], moving: Sequence[str], deadline: Deadline
    ) -> None:
        for machine in self.machines:
            if machine.name not in moving:
                continue
            instance = wait(
                f"virtual machine {machine.name} runs elsewhere than on {self.node} and is Ready",
                lambda machine=machine: machine.instance,  # type: ignore[misc]
                until=lambda seen: seen is not None and seen.node not in ("", self.node) and seen.ready,
                deadline=deadline,
            )
            assert instance is not None
            was = before[machine.name]
            vmim = self._migration_of(instance, machine.namespace) if was and was.uid == instance.uid else ""
            self.events.add(
                "drain", "migrated", machine.name, **{"from": self.node, "to": instance.node},
                uid=instance.uid, vmim=vmim, live=bool(was and was.uid == instance.uid and vmim),
            )

    def _migration_of(self, instance: Instance, namespace: str) -> str:
        """The name of the migration object that moved the instance here, once it has ended well; empty if none did."""
        uid = (instance.migration or {}).get("migrationUid")
        found = [item for item in self.cluster.items(MIGRATIONS, namespace) if item["metadata"]["uid"] == uid]
        return str(found[0]["metadata"]["name"]) if found else ""

    def _prove(self, moving: Sequence[str], asked: set[str], healed: bool, trouble: str) -> None:
        missing = [name for name in moving if name not in asked]
        reasons = [f"virtual machine {name} on {self.node} was never asked to leave" for name in missing]
        if not moving:
            reasons.append(f"no watched virtual machine was on {self.node}")
        if trouble:
            reasons.append(trouble)
        if not healed:
            reasons.append(f"node {self.node} is not schedulable again")
        happened = bool(moving) and not missing
        self.events.add("drain", "proof", self.node, happened=happened, healed=healed, reasons=reasons)
