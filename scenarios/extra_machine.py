"""One machine more than there are nodes for: it has to wait, and must not be put beside another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from drainproof.api import CLAIMS, MACHINES, NODES, SECRETS, Cluster, Object
from drainproof.errors import UnexpectedStateError
from drainproof.journal import Journal
from drainproof.node import Node, is_schedulable
from drainproof.spec import VmSpec
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from scenarios.fault import Proof

UNSCHEDULABLE = "ErrorUnschedulable"
NEVER = "never asked for"


@dataclass(frozen=True, kw_only=True)
class ExtraMachine:
    """Cordon the nodes that are left, and ask for a machine that may share a node with none of the others."""

    cluster: Cluster
    namespace: str
    machine: VmSpec
    claim: Object
    secret: Object
    nodes: Sequence[str]
    """The nodes on which it could run."""
    journal: Journal
    _cordoned: list[str] = field(default_factory=list, init=False, repr=False)
    kind = "extra-machine"

    @property
    def target(self) -> str:
        return self.machine.name

    def inject(self, deadline: Deadline) -> Proof:
        """Cordon, create, and see that KubeVirt finds no place; raises UnexpectedStateError when it runs.

        Raises CannotRunError, before anything is done, when somebody else has cordoned one of the nodes.
        """
        for name in self.nodes:
            Node(self.cluster, name).refuse_cordoned()
        for name in self.nodes:
            self.journal.cordon(name)
            self._cordoned.append(name)
            Node(self.cluster, name).cordon()
        self.cluster.apply(SECRETS, self.secret, self.namespace)
        self.cluster.apply(CLAIMS, self.claim, self.namespace)
        self.cluster.apply(MACHINES, self.machine.manifest(), self.namespace)
        machine = VirtualMachine(self.cluster, self.target, self.namespace)
        seen = wait(
            f"virtual machine {self.target} finds no node", lambda: machine.status,
            until=lambda status: status == UNSCHEDULABLE, never=lambda status: status == "Running", deadline=deadline,
            steady=3, every=1.0,
        )
        return {"status": seen, "cordoned": list(self.nodes)}

    def heal(self, deadline: Deadline) -> Proof:
        """Remove it and let the nodes be used again; raises UnexpectedStateError when it waited no longer."""
        machine = VirtualMachine(self.cluster, self.target, self.namespace)
        status = machine.status if self.cluster.find(MACHINES, self.target, self.namespace) else NEVER
        try:
            self.cluster.delete(MACHINES, self.target, self.namespace)
            wait(
                f"virtual machine {self.target} is gone",
                lambda: self.cluster.find(MACHINES, self.target, self.namespace),
                until=lambda seen: seen is None, deadline=deadline, describe=lambda seen: seen and seen.get("status"),
            )
            self.cluster.delete(CLAIMS, self.claim["metadata"]["name"], self.namespace)
            self.cluster.delete(SECRETS, self.secret["metadata"]["name"], self.namespace)
        finally:
            for name in self._cordoned:
                self._uncordon(name, deadline)
        if status not in (UNSCHEDULABLE, NEVER):
            raise UnexpectedStateError(f"virtual machine {self.target} waited for a node to the end", status)
        return {"status": status}

    def _uncordon(self, name: str, deadline: Deadline) -> None:
        Node(self.cluster, name).uncordon()
        wait(
            f"node {name} is schedulable again", lambda: self.cluster.get(NODES, name), until=is_schedulable,
            deadline=deadline, describe=lambda node: node.get("spec"),
        )
        self.journal.uncordoned(name)
