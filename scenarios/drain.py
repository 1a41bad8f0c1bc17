"""Drain a node as kubectl does: cordon it, evict its pods until they are gone, and uncordon it afterwards.

The drain proves itself: it happened when the node was cordoned and every virtual machine on it was asked to leave, and
it healed when the node is schedulable again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from drainproof.allowed import NotAllowedError
from drainproof.api import INSTANCES, MIGRATIONS, NODES, PODS, Cluster, Object
from drainproof.followed import Followed, followed
from drainproof.following import Following, Interest
from drainproof.journal import Journal
from drainproof.node import Node, is_schedulable, local_volumes, loss, refuse_losses
from drainproof.record import EventLog
from drainproof.request_counts import Requests
from drainproof.vm import Instance, VirtualMachine
from drainproof.wait import Deadline, wait
from scenarios.evictions import Evictions
from scenarios.request_count import tell_requests

VMI_NAME_LABEL = "kubevirt.io/vmi-name"
"""Of a migration: the instance that it moves."""
LABEL_LENGTH = 63
UNCORDON_SECONDS = 60.0
"""So long may an API in trouble hold up that the node is seen to be schedulable again."""


@dataclass(frozen=True)
class Drain:
    """The drain of one node, as a fault that can be injected into a running service."""

    cluster: Cluster
    node: str
    machines: Sequence[VirtualMachine]
    """The virtual machines that are watched; only those on the node are expected to move."""
    events: EventLog
    journal: Journal
    copies: Followed | None = None
    """Of the machines' instances, and of their migrations if they are there, kept by whoever drains more than once;
    None: the drain follows the instances by itself."""
    counted: bool = True
    """Whether to tell how often the API was asked meanwhile; whoever drains several nodes at once counts by himself."""
    local_data: bool = False
    """Whether pods of others may lose their emptyDirs, as with kubectl's --delete-emptydir-data."""

    def run(self, deadline: Deadline) -> None:
        """Drain the node, see the virtual machines Ready elsewhere, uncordon it whatever happened, record the proof.

        Raises CannotRunError, before anything is done, when kubectl would refuse a pod on it because something would be
        lost with it, or when somebody else has cordoned it, and WaitTimeoutError when pods or machines did not leave in
        time.
        """
        asked_before = self.cluster.requests
        pods = Node(self.cluster, self.node).pods_to_evict()
        refuse_losses(self.node, pods, self._namespaces, local_data=self.local_data)
        with self._copies() as copies:
            Node(self.cluster, self.node).refuse_cordoned()
            # A cordon that the journal does not take is not made, and nothing is uncordoned for it either.
            self.journal.cordon(self.node)
            self._tell_losses(pods)
            self._run(copies, asked_before, deadline)

    @property
    def _namespaces(self) -> list[str]:
        """Those of the machines that are watched, which are the run's own."""
        return sorted({machine.namespace for machine in self.machines})

    def _tell_losses(self, pods: Sequence[Object]) -> None:
        for pod in pods:
            if loss(pod, self._namespaces, local_data=False):
                name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                self.events.add("drain", "local-data", name, node=self.node, volumes=local_volumes(pod))

    def _run(self, copies: Followed, asked_before: Requests, deadline: Deadline) -> None:
        before = {machine.name: machine.followed_in(copies) for machine in self.machines}
        moving = sorted(name for name, instance in before.items() if instance and instance.node == self.node)
        self.events.add("drain", "begin", self.node, vms=moving)
        asked: set[str] = set()
        trouble = ""
        try:
            self._cordon()
            self._evict_all(copies, asked, deadline)
            self._see_migrations_through(copies, before, moving, deadline)
        except BaseException as error:
            trouble = f"{type(error).__name__}: {error}"
            raise
        finally:
            healed = self._uncordon()
            self.events.add("drain", "end", self.node, vms=moving, **({"error": trouble} if trouble else {}))
            if self.counted:
                tell_requests(self.events, self.node, self.cluster.requests - asked_before, len(moving))
            self._prove(moving, asked, healed, trouble)

    @contextmanager
    def _copies(self) -> Iterator[Followed]:
        if self.copies and all(self.copies.follows(INSTANCES, namespace) for namespace in self._namespaces):
            yield self.copies
            return
        with followed(self.cluster, *(Interest(INSTANCES, namespace) for namespace in self._namespaces)) as copies:
            yield copies

    def _cordon(self) -> None:
        Node(self.cluster, self.node).cordon()
        self.events.add("drain", "cordoned", self.node)

    def _uncordon(self) -> bool:
        try:
            Node(self.cluster, self.node).uncordon()
        except NotAllowedError as error:
            # Another run has claimed the node meanwhile: its cordon, and the journal's end, are not this drain's.
            self.events.add("drain", "left", self.node, why=str(error))
            return False
        self.events.add("drain", "uncordoned", self.node)
        deadline = Deadline(UNCORDON_SECONDS)
        seen = wait(
            f"node {self.node} is schedulable again",
            lambda: self.cluster.within(deadline).get(NODES, self.node),
            until=is_schedulable,
            deadline=deadline,
            describe=lambda node: node.get("spec"),
        )
        self.journal.uncordoned(self.node)
        return is_schedulable(seen)

    def _evict_all(self, copies: Followed, asked: set[str], deadline: Deadline) -> None:
        """Evict until the node is empty; adds the virtual machines that were asked to leave to `asked`.

        Its pods are listed only now that it is cordoned: one that was just being bound to it would be overlooked.
        """
        pods = Following(
            self.cluster, Interest(PODS, fields=Node(self.cluster, self.node).of_its_pods), changes=copies.changes
        )
        pods.start()
        try:
            Evictions(
                self.cluster, self.node, self.machines, self.events, pods, copies, asked, local_data=self.local_data
            ).until_empty(deadline)
        finally:
            pods.stop()

    def _see_migrations_through(
        self, copies: Followed, before: dict[str, Instance | None], moving: Sequence[str], deadline: Deadline
    ) -> None:
        for machine in self.machines:
            if machine.name not in moving:
                continue
            instance = wait(
                f"virtual machine {machine.name} runs elsewhere than on {self.node} and is Ready",
                lambda machine=machine: machine.followed_in(copies),  # type: ignore[misc]
                until=lambda seen: seen is not None and seen.node not in ("", self.node) and seen.ready,
                deadline=deadline, wakened_by=copies.changes,
            )
            assert instance is not None
            was = before[machine.name]
            vmim = self._migration_of(copies, instance, machine) if was and was.uid == instance.uid else ""
            self.events.add(
                "drain", "migrated", machine.name, **{"from": self.node, "to": instance.node},
                uid=instance.uid, vmim=vmim, live=bool(was and was.uid == instance.uid and vmim),
            )

    def _migration_of(self, copies: Followed, instance: Instance, machine: VirtualMachine) -> str:
        """The name of the migration object that moved the instance here, once it has ended well; empty if none did."""
        uid = str((instance.migration or {}).get("migrationUid", ""))
        if known := copies.of_uid(MIGRATIONS, machine.namespace, uid):
            return str(known["metadata"]["name"])
        labels = f"{VMI_NAME_LABEL}={machine.name}" if len(machine.name) <= LABEL_LENGTH else ""
        found = self.cluster.items(MIGRATIONS, machine.namespace, labels=labels)
        return next((str(item["metadata"]["name"]) for item in found if item["metadata"]["uid"] == uid), "")

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
