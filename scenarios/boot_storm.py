"""A boot storm: many machines are started at once, each from a disk of its own, and all want to be served."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drainproof.api import CLAIMS, MACHINES, Cluster, Object
from drainproof.spec import VmSpec
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from scenarios.disk_copies import GuestOf, remove, start_and_ask
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
            self.cluster.create(CLAIMS, claim, self.namespace)
        for machine in self.machines:
            self.cluster.create(MACHINES, machine.manifest(), self.namespace)

        def answered(name: str) -> int:
            return start_and_ask(VirtualMachine(self.cluster, name, self.namespace), self.guest_of, deadline)[0]

        names = [machine.name for machine in self.machines]
        with ThreadPoolExecutor(len(names)) as askers:
            moments = dict(zip(names, askers.map(answered, names), strict=True))
        return {
            "requested_ns": requested, "answered_ns": moments, "seconds": (max(moments.values()) - requested) / 1e9,
        }

    def heal(self, deadline: Deadline) -> Proof:
        """Remove them and their disks."""
        for machine in self.machines:
            remove(VirtualMachine(self.cluster, machine.name, self.namespace), deadline)
        for claim in self.claims:
            self.cluster.delete(CLAIMS, claim["metadata"]["name"], self.namespace)
        return {"removed": len(self.machines)}
