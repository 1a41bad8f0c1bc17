"""What is made of a machine and its disk: a snapshot, the machine as the snapshot holds it, and a clone beside it.

Each tells when it was asked for and when it was there; what the disks then hold is read by who asks for them. None is
asked for by apply: of an object that is there already, the result would be that of an earlier time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drainproof import spec
from drainproof.api import INSTANCES, MACHINE_CLONES, MACHINE_RESTORES, MACHINE_SNAPSHOTS, MACHINES, Cluster, Object
from drainproof.errors import DrainproofError, UnexpectedStateError
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from scenarios.bench import Guest
from scenarios.fault import Proof

EVERY_SECONDS = 0.25
DATA = "data"
"""The name of the disk under test among the volumes of its machine."""

GuestOf = Callable[[str, str], Guest]
"""Makes a guest of a machine's name and address."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A VirtualMachineSnapshot of a running machine; it stays until its namespace goes."""

    cluster: Cluster
    machine: VirtualMachine
    name: str
    kind = "snapshot"

    @property
    def target(self) -> str:
        return self.machine.name

    def inject(self, deadline: Deadline) -> Proof:
        """Ask for it and wait until it can be used; raises DrainproofError when it fails or leaves the disk out."""
        requested = time.monotonic_ns()
        self.cluster.create(MACHINE_SNAPSHOTS, spec.machine_snapshot(self.name, self.target), self.machine.namespace)
        status = wait(
            f"snapshot {self.name} of {self.target} can be used",
            lambda: self.cluster.get(MACHINE_SNAPSHOTS, self.name, self.machine.namespace).get("status") or {},
            until=lambda seen: seen.get("readyToUse") is True, never=lambda seen: seen.get("phase") == "Failed",
            deadline=deadline, every=EVERY_SECONDS,
        )
        ready = time.monotonic_ns()
        volumes = status.get("snapshotVolumes") or {}
        if DATA not in (volumes.get("includedVolumes") or ()) or DATA in (volumes.get("excludedVolumes") or ()):
            raise UnexpectedStateError(f"snapshot {self.name} holds the data disk of {self.target}", volumes)
        return {
            "snapshot": self.name, "requested_ns": requested, "ready_ns": ready, "seconds": (ready - requested) / 1e9,
            "indications": list(status.get("indications") or ()), "volumes": volumes,
        }

    def heal(self, deadline: Deadline) -> Proof:
        """See the machine Ready, as it was; a snapshot leaves it running."""
        return {"instance": self.machine.wait_ready(deadline).uid}


@dataclass(frozen=True, kw_only=True)
class Restore:
    """A VirtualMachineRestore: the machine is stopped, put back to a snapshot, and started again."""

    cluster: Cluster
    machine: VirtualMachine
    snapshot: str
    name: str
    guest_of: GuestOf
    kind = "restore"

    @property
    def target(self) -> str:
        return self.machine.name

    def inject(self, deadline: Deadline) -> Proof:
        """Stop, restore, start, and wait until the guest answers; raises DrainproofError when one of that fails."""
        namespace = self.machine.namespace
        set_running(self.machine, running=False)
        wait_stopped(self.machine, deadline)
        requested = time.monotonic_ns()
        self.cluster.create(MACHINE_RESTORES, spec.machine_restore(self.name, self.target, self.snapshot), namespace)
        wait(
            f"restore {self.name} of {self.target} is complete",
            lambda: self.cluster.get(MACHINE_RESTORES, self.name, namespace).get("status") or {},
            until=lambda seen: seen.get("complete") is True, never=_has_failed, deadline=deadline, every=EVERY_SECONDS,
        )
        complete = time.monotonic_ns()
        answer = start_and_ask(self.machine, self.guest_of, deadline)
        return {
            "snapshot": self.snapshot, "requested_ns": requested, "complete_ns": complete, "answered_ns": answer.t_ns,
            "seconds": (answer.t_ns - requested) / 1e9, "address": answer.address,
        }

    def heal(self, deadline: Deadline) -> Proof:
        """See it Ready; one that was only stopped is started first."""
        set_running(self.machine, running=True)
        return {"instance": self.machine.wait_ready(deadline).uid}


@dataclass(frozen=True, kw_only=True)
class Clone:
    """A VirtualMachineClone of a running machine, started beside it and removed in the end."""

    cluster: Cluster
    machine: VirtualMachine
    name: str
    """Of the clone, and of the object that asks for it."""
    guest_of: GuestOf
    _addresses: list[str] = field(default_factory=list, init=False, repr=False)
    kind = "clone"

    @property
    def target(self) -> str:
        return self.machine.name

    @property
    def guest(self) -> Guest:
        """The clone's guest; raises DrainproofError when it never answered."""
        if not self._addresses:
            raise DrainproofError(f"the clone {self.name} of {self.target} never answered; there is nothing to read")
        return self.guest_of(self.name, self._addresses[-1])

    def inject(self, deadline: Deadline) -> Proof:
        """Ask for it, start it, and wait until its guest answers; raises DrainproofError when one of that fails."""
        namespace = self.machine.namespace
        requested = time.monotonic_ns()
        self.cluster.create(MACHINE_CLONES, spec.machine_clone(self.name, self.target, self.name), namespace)
        wait(
            f"clone {self.name} of {self.target} has succeeded",
            lambda: (self.cluster.get(MACHINE_CLONES, self.name, namespace).get("status") or {}).get("phase"),
            until=lambda phase: phase == "Succeeded", never=lambda phase: phase == "Failed", deadline=deadline,
            every=EVERY_SECONDS,
        )
        cloned = time.monotonic_ns()
        answer = start_and_ask(self._clone, self.guest_of, deadline)
        self._addresses.append(answer.address)
        both = {name: self.cluster.get(INSTANCES, name, namespace) for name in (self.target, self.name)}
        return {
            "clone": self.name, "requested_ns": requested, "cloned_ns": cloned, "answered_ns": answer.t_ns,
            "seconds": (answer.t_ns - requested) / 1e9, "address": answer.address,
            "mac": {name: _mac(instance) for name, instance in both.items()},
            "claims": {name: _claim(instance) for name, instance in both.items()},
        }

    def heal(self, deadline: Deadline) -> Proof:
        """Remove the clone, and see the original Ready, as it was."""
        namespace = self.machine.namespace
        self.cluster.delete(MACHINE_CLONES, self.name, namespace)
        remove(self._clone, deadline)
        return {"instance": self.machine.wait_ready(deadline).uid}

    @property
    def _clone(self) -> VirtualMachine:
        return VirtualMachine(self.cluster, self.name, self.machine.namespace)


@dataclass(frozen=True, slots=True)
class Answer:
    """The first answer of a guest that was started."""

    t_ns: int
    address: str
    boot_id: str


def start_and_ask(
    machine: VirtualMachine, guest_of: GuestOf, deadline: Deadline, given_up: Callable[[], bool] = lambda: False
) -> Answer:
    """Start a machine, and ask its guest until it answers, or the asking is given up.

    Raises DrainproofError when it does not answer in time, or it was given up.
    """
    set_running(machine, running=True)
    seen = wait(
        f"virtual machine {machine.name} has an address", lambda: machine.instance,
        until=lambda instance: instance is not None and bool(instance.address), never=lambda _: given_up(),
        deadline=deadline, every=EVERY_SECONDS,
        describe=lambda instance: instance or f"no instance; the VirtualMachine is {machine.status}",
    )
    address = seen.address if seen else ""
    line, said = guest_of(machine.name, address).hello(deadline, given_up)
    return Answer(line.arrived_ns, address, str(said.get("boot_id") or ""))


def remove(machine: VirtualMachine, deadline: Deadline) -> None:
    """Delete a machine and wait until it is gone; one that is not there is none to wait for."""
    machine.cluster.delete(MACHINES, machine.name, machine.namespace)
    wait(
        f"virtual machine {machine.name} is gone",
        lambda: machine.cluster.find(MACHINES, machine.name, machine.namespace) or machine.instance,
        until=lambda seen: seen is None, deadline=deadline, every=EVERY_SECONDS,
        describe=lambda seen: getattr(seen, "phase", "still there"),
    )


def wait_stopped(machine: VirtualMachine, deadline: Deadline) -> None:
    """Wait until nothing of a machine runs."""
    wait(
        f"virtual machine {machine.name} has stopped", lambda: machine.instance, until=lambda seen: seen is None,
        deadline=deadline, every=EVERY_SECONDS,
    )


def set_running(machine: VirtualMachine, *, running: bool) -> None:
    change = {"spec": {"runStrategy": "Always" if running else "Halted"}}
    machine.cluster.patch(MACHINES, machine.name, change, machine.namespace)


def _has_failed(status: Object) -> bool:
    conditions = status.get("conditions") or ()
    return any(one.get("type") == "Failure" and one.get("status") == "True" for one in conditions)


def _mac(instance: Object) -> str:
    """The instance's address on its network, or empty when it does not tell."""
    found: Any = instance.get("status", {}).get("interfaces") or [{}]
    return str(found[0].get("mac", "")).lower()


def _claim(instance: Object) -> str:
    """The claim of its disk, or empty when it does not tell."""
    volumes = instance.get("spec", {}).get("volumes") or ()
    mine: Object = next((volume for volume in volumes if volume.get("name") == DATA), {})
    claimed = (mine.get("persistentVolumeClaim") or {}).get("claimName") or (mine.get("dataVolume") or {}).get("name")
    return str(claimed or "")
