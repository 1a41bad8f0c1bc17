"""A boot storm: many machines are started at once, each from a disk of its own, and all want to be served."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

from drainproof.api import CLAIMS, MACHINES, Cluster, Object
from drainproof.spec import VmSpec
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.disk_copies import Answer, GuestOf, remove, start_and_ask
from scenarios.fault import Proof


@dataclass(frozen=True, kw_only=True)
class BootStorm:
    """Machines that are asked for in one breath; they are removed in the end."""

    cluster: Cluster
    namespace: str
    machines: Sequence[VmSpec]
    claims: Sequence[Object]
    guest_of: GuestOf
    kind = "boot-storm"

    @property
    def target(self) -> str:
        return ",".join(machine.name for machine in self.machines)

    def inject(self, deadline: Deadline) -> Proof:
        """Ask for all, and wait until each answers; raises DrainproofError when one does not."""
        requested = time.monotonic_ns()
        for claim in self.claims:
            self.cluster.apply(CLAIMS, claim, self.namespace)
        for machine in self.machines:
            self.cluster.apply(MACHINES, machine.manifest(), self.namespace)

        given_up = Event()

        def answer(name: str) -> Answer:
            machine = VirtualMachine(self.cluster, name, self.namespace)
            return start_and_ask(machine, self.guest_of, deadline, given_up.is_set)

        names = [machine.name for machine in self.machines]
        with ThreadPoolExecutor(len(names)) as askers:
            try:
                answers = dict(zip(names, askers.map(answer, names), strict=True))
            finally:
                given_up.set()  # the others are not waited for once one has failed, or the run is broken off
        moments = {name: one.t_ns for name, one in answers.items()}
        return {
            "requested_ns": requested, "answered_ns": moments, "seconds": (max(moments.values()) - requested) / 1e9,
            "boot_ids": {name: one.boot_id for name, one in answers.items()},
        }

    def heal(self, deadline: Deadline) -> Proof:
        """Remove them and their disks."""
        for machine in self.machines:
            remove(VirtualMachine(self.cluster, machine.name, self.namespace), deadline)
        for claim in self.claims:
            self.cluster.delete(CLAIMS, claim["metadata"]["name"], self.namespace)
        return {"removed": len(self.machines)}
