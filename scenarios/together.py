"""Several faults as one: what befalls all machines at once is one event with one expectation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from drainproof.wait import Deadline
from scenarios.fault import Fault, Proof


@dataclass(frozen=True)
class Together:
    """Faults that are injected one right after the other, and healed in the same order once all of them lasted."""

    faults: Sequence[Fault]
    _begun: list[Fault] = field(default_factory=list, init=False, repr=False)

    @property
    def kind(self) -> str:
        return "+".join(dict.fromkeys(fault.kind for fault in self.faults))

    @property
    def target(self) -> str:
        return ",".join(dict.fromkeys(fault.target for fault in self.faults))

    def inject(self, deadline: Deadline) -> Proof:
        """Inject each; the proof has each one's own. Raises what the first raises that does not happen."""
        proofs: list[dict[str, Any]] = []
        for fault in self.faults:
            self._begun.append(fault)
            proofs.append({"fault": fault.kind, "target": fault.target, **fault.inject(deadline)})
        return {"together": proofs}

    def heal(self, deadline: Deadline) -> Proof:
        """Heal each that was begun, whatever becomes of the others; raises the last one's error."""
        proofs: list[dict[str, Any]] = []
        with ExitStack() as healing:
            for fault in reversed(self._begun):
                healing.callback(self._heal, fault, deadline, proofs)
        return {"together": proofs}

    @staticmethod
    def _heal(fault: Fault, deadline: Deadline, proofs: list[dict[str, Any]]) -> None:
        proofs.append({"fault": fault.kind, "target": fault.target, **fault.heal(deadline)})
