"""A machine gets an empty disk in place of its own, as after the loss of that: its data has to come from others."""

from __future__ import annotations

from dataclasses import dataclass, field

from drainproof.api import CLAIMS, MACHINES, Cluster, Object
from drainproof.errors import DrainproofError
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from scenarios.fault import Proof


@dataclass(frozen=True, kw_only=True)
class FreshDisk:
    """Stop the machine, replace its claim by an empty one of the same kind, start it again."""

    cluster: Cluster
    machine: VirtualMachine
    claim: str
    """The claim of its data disk."""
    _before: list[str] = field(default_factory=list, init=False, repr=False)
    kind = "fresh-disk"

    @property
    def target(self) -> str:
        return self.machine.name

    def inject(self, deadline: Deadline) -> Proof:
        """Stop it, see its disk gone, start it with an empty one; raises DrainproofError when it does not run."""
        instance = self.machine.instance
        if instance is None:
            raise DrainproofError(f"virtual machine {self.target} has no instance; there is no disk in use to replace")
        self._before.append(instance.uid)
        self._run_strategy("Halted")
        wait(
            f"virtual machine {self.target} has stopped", lambda: self.machine.instance,
            until=lambda seen: seen is None, deadline=deadline, every=0.5,
        )
        old = self.cluster.get(CLAIMS, self.claim, self.machine.namespace)
        self.cluster.delete(CLAIMS, self.claim, self.machine.namespace)
        wait(
            f"claim {self.claim} is gone", lambda: self.cluster.find(CLAIMS, self.claim, self.machine.namespace),
            until=lambda seen: seen is None, deadline=deadline, describe=lambda seen: seen and seen["status"],
        )
        # Never applied: the old claim, were it still there, would be taken for the empty one.
        new = self.cluster.create(CLAIMS, _empty(old), self.machine.namespace)
        self._run_strategy("Always")
        return {"instance": instance.uid, "old_claim": old["metadata"]["uid"], "new_claim": new["metadata"]["uid"]}

    def heal(self, deadline: Deadline) -> Proof:
        """See it Ready as another instance; one that was only stopped is started first."""
        self._run_strategy("Always")
        if not self._before:
            return {"instance": ""}
        seen = wait(
            f"virtual machine {self.target} is Ready as another instance", lambda: self.machine.instance,
            until=lambda seen: seen is not None and seen.uid != self._before[0] and seen.ready, deadline=deadline,
            every=0.5,
        )
        return {"instance": seen.uid if seen else ""}

    def _run_strategy(self, strategy: str) -> None:
        self.cluster.patch(MACHINES, self.target, {"spec": {"runStrategy": strategy}}, self.machine.namespace)


def _empty(claim: Object) -> Object:
    """The same claim as its owner wrote it, bound to nothing."""
    kept = {key: value for key, value in claim["spec"].items() if key not in ("volumeName", "dataSource")}
    return {"metadata": {"name": claim["metadata"]["name"]}, "spec": kept}
