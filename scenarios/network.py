"""Disturb the network between virtual machines with Chaos Mesh: cut it, slow it down, lose packets.

Only traffic between the machines on one side and those on the other is touched, in both directions; clients reach all
of them as before. A fault happened when Chaos Mesh says that it is injected at every machine that was named, and healed
when the experiment is gone, which its finalizer allows only after the recovery.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from drainproof.api import NETWORK_CHAOS, Cluster
from drainproof.errors import UnexpectedStateError
from drainproof.wait import Deadline
from scenarios.chaos import Experiment, machines, records
from scenarios.fault import Proof


@dataclass(frozen=True)
class NetworkFault(ABC):
    """What all disturbances between two groups of virtual machines have in common."""

    cluster: Cluster
    namespace: str
    side: Sequence[str]
    """The virtual machines on one side, by name: the one to cut off, or the minority."""
    others: Sequence[str]
    """Those on the other side."""
    seconds: float
    """After which it ends by itself; make it longer than the disturbance is meant to last."""

    @property
    @abstractmethod
    def kind(self) -> str: ...

    @abstractmethod
    def action(self) -> Mapping[str, Any]:
        """The part of the experiment's spec that says what happens to packets."""

    @property
    def target(self) -> str:
        return ",".join(self.side)

    @cached_property
    def experiment(self) -> Experiment:
        spec = {
            **machines(self.side, self.namespace), **self.action(), "direction": "both",
            "target": machines(self.others, self.namespace), "duration": f"{self.seconds:g}s",
        }
        return Experiment(self.cluster, NETWORK_CHAOS, self.namespace, spec)

    def inject(self, deadline: Deadline) -> Proof:
        """Order the experiment and see it in force; raises UnexpectedStateError when a machine was not selected."""
        self.experiment.create()
        hit = records(self.experiment.wait_injected(deadline))
        missed = [name for name in (*self.side, *self.others) if not any(self._is_pod_of(name, pod) for pod in hit)]
        if missed:
            raise UnexpectedStateError(f"{self.kind} hits {', '.join(missed)}", f"injected at {hit} only")
        return {
            "experiment": self.experiment.name, "condition": "AllInjected", "pods": hit, "others": list(self.others),
            "spec": dict(self.action()),
        }

    def heal(self, deadline: Deadline) -> Proof:
        """End the experiment and see it gone; the proof says whether it had lasted until then."""
        lasted = self.experiment.is_in_force()
        self.experiment.delete()
        self.experiment.wait_gone(deadline)
        return {"experiment": self.experiment.name, "gone": True, "lasted": lasted}

    def _is_pod_of(self, name: str, pod: str) -> bool:
        """KubeVirt: a launcher pod's name is the machine's with a prefix and one more part."""
        return pod.rpartition("-")[0] == f"{self.namespace}/virt-launcher-{name}"


@dataclass(frozen=True)
class Partition(NetworkFault):
    """No packet passes between the two sides: one machine against the rest, or a minority against a majority."""

    @property
    def kind(self) -> str:
        return "partition"

    def action(self) -> Mapping[str, Any]:
        return {"action": "partition"}


@dataclass(frozen=True)
class Delay(NetworkFault):
    """Every packet between the two sides takes longer, each way."""

    latency_ms: int = 100
    jitter_ms: int = 0

    @property
    def kind(self) -> str:
        return "delay"

    def action(self) -> Mapping[str, Any]:
        delay = {"latency": f"{self.latency_ms}ms", "jitter": f"{self.jitter_ms}ms", "correlation": "0"}
        return {"action": "delay", "delay": delay}


@dataclass(frozen=True)
class Loss(NetworkFault):
    """A part of the packets between the two sides is lost, at random, each way."""

    percent: float = 5.0

    @property
    def kind(self) -> str:
        return "loss"

    def action(self) -> Mapping[str, Any]:
        return {"action": "loss", "loss": {"loss": f"{self.percent:g}", "correlation": "0"}}
