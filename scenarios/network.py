"""Disturb the network between virtual machines with Chaos Mesh: cut it, slow it down, lose packets.

Only traffic between the machines on one side and those on the other is touched, in both directions; clients reach all
of them as before. That Chaos Mesh says it injected a fault proves nothing: its rules lie in the pod's network, and what
a bridge hands to the guest may pass them by. So the guests themselves send echo requests over UDP between every pair of
the two sides: before, while it lasts, and afterwards until it is over.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from drainproof.api import NETWORK_CHAOS, Cluster
from drainproof.errors import UnexpectedStateError
from drainproof.wait import Deadline, wait
from scenarios.chaos import Experiment, machines, records
from scenarios.echoes import Echoes, Guests
from scenarios.fault import Proof

FEWEST_ANSWERED = 0.5
"""The share of echo requests that is answered between two guests whose network is not disturbed."""
LOSS_ROUND_TRIPS = 20.0
"""So many echo requests are sent that these are lost on the way there, on average."""


@dataclass(frozen=True)
class NetworkFault(ABC):
    """What all disturbances between two groups of virtual machines have in common."""

    cluster: Cluster
    namespace: str
    side: Sequence[str]
    """The virtual machines on one side, by name: the one to cut off, or the minority."""
    others: Sequence[str]
    """Those on the other side. No other fault may disturb what passes between the two at the same time."""
    seconds: float
    """After which it ends by itself; make it longer than the disturbance is meant to last."""
    guests: Guests
    _before: dict[tuple[str, str], Echoes] = field(default_factory=dict, init=False, repr=False)

    shown: ClassVar[float]
    """The least effect that proves it."""
    over: ClassVar[float]
    """It is over when the effect is smaller than this."""

    @property
    @abstractmethod
    def kind(self) -> str: ...

    @property
    @abstractmethod
    def requests(self) -> int:
        """How many echo requests show whether it is there."""

    @abstractmethod
    def action(self) -> Mapping[str, Any]:
        """The part of the experiment's spec that says what happens to packets."""

    @abstractmethod
    def effect(self, before: Echoes, now: Echoes) -> float:
        """What two guests see of it, as a share of what was asked for: 0 is nothing, 1 is all."""

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
        """Order the experiment and see its effect from inside the guests, between every pair.

        Raises UnexpectedStateError when a machine was not selected, when a pair does not answer each other beforehand,
        or when one sees too little of it; EchoesError when the guests have no service for it.
        """
        before = self._measure(deadline)
        silent = [f"{here} to {there}" for (here, there), seen in before.items() if not _answered(seen)]
        if silent:
            raise UnexpectedStateError(f"the guests answer each other before the {self.kind}", f"not {silent}")
        self._before.update(before)
        self.experiment.create()
        hit = records(self.experiment.wait_injected(deadline))
        missed = [name for name in (*self.side, *self.others) if not any(self._is_pod_of(name, pod) for pod in hit)]
        if missed:
            raise UnexpectedStateError(f"{self.kind} hits {', '.join(missed)}", f"injected at {hit} only")
        during = self._measure(deadline)
        told = self._told(during)
        if any(self.effect(before[pair], seen) < self.shown for pair, seen in during.items()):
            raise UnexpectedStateError(f"{self.kind} has its effect between every two guests of both sides", told)
        return {
            "experiment": self.experiment.name, "condition": "AllInjected", "pods": hit, "others": list(self.others),
            "spec": dict(self.action()), "echoes": told,
        }

    def heal(self, deadline: Deadline) -> Proof:
        """End the experiment, see it gone, and see from inside the guests that its effect is over.

        The proof says whether it had lasted until then, and at which monotonic instant its end was ordered.
        """
        lasted, ordered_ns = self.experiment.is_in_force(), deadline.clock.monotonic_ns()
        self.experiment.delete()
        self.experiment.wait_gone(deadline)
        proof = {"experiment": self.experiment.name, "gone": True, "lasted": lasted, "ordered_ns": ordered_ns}
        if not self._before:
            return proof
        after = wait(
            f"the effect of the {self.kind} is over", lambda: self._measure(deadline), until=self._is_over,
            deadline=deadline, describe=self._told,
        )
        return {**proof, "echoes": self._told(after)}

    def _measure(self, deadline: Deadline) -> dict[tuple[str, str], Echoes]:
        pairs = [(here, there) for here in self.side for there in self.others]
        return dict(zip(pairs, self.guests.measure(pairs, self.requests, deadline), strict=True))

    def _is_over(self, seen: Mapping[tuple[str, str], Echoes]) -> bool:
        return all(_answered(now) and self.effect(self._before[pair], now) < self.over for pair, now in seen.items())

    def _told(self, seen: Mapping[tuple[str, str], Echoes]) -> list[dict[str, Any]]:
        """The figures of every pair, as the record keeps them."""
        return [
            {
                "from": here, "to": there, "effect": round(self.effect(self._before[here, there], now), 3),
                "before": asdict(self._before[here, there]), "now": asdict(now),
            }
            for (here, there), now in seen.items()
        ]

    def _is_pod_of(self, name: str, pod: str) -> bool:
        """KubeVirt: a launcher pod's name is the machine's with a prefix and one more part."""
        return pod.rpartition("-")[0] == f"{self.namespace}/virt-launcher-{name}"


def _answered(seen: Echoes) -> bool:
    return 1 - seen.lost >= FEWEST_ANSWERED


@dataclass(frozen=True)
class Partition(NetworkFault):
    """No packet passes between the two sides: one machine against the rest, or a minority against a majority.

    It is proved when no echo request is answered, which does not tell whether it was cut on the way there or back.
    """

    shown = 1.0
    over = 0.5

    @property
    def kind(self) -> str:
        return "partition"

    @property
    def requests(self) -> int:
        return 20

    def action(self) -> Mapping[str, Any]:
        return {"action": "partition"}

    def effect(self, before: Echoes, now: Echoes) -> float:  # noqa: ARG002 - they answered before
        return now.lost


@dataclass(frozen=True)
class Delay(NetworkFault):
    """Every packet between the two sides takes longer, each way.

    It is proved when even the shortest round trip has grown by three quarters of twice the least latency: more than one
    way alone would add. The shortest one is what a busy guest or machine changes least.
    """

    latency_ms: int = 100
    jitter_ms: int = 0
    """By how much a packet's latency is longer or shorter, at random; smaller than the latency."""

    shown = 0.75
    over = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ms < self.latency_ms:
            raise ValueError(f"a jitter of {self.jitter_ms} ms hides a latency of {self.latency_ms} ms")

    @property
    def kind(self) -> str:
        return "delay"

    @property
    def requests(self) -> int:
        return 100

    def action(self) -> Mapping[str, Any]:
        delay = {"latency": f"{self.latency_ms}ms", "jitter": f"{self.jitter_ms}ms", "correlation": "0"}
        return {"action": "delay", "delay": delay}

    def effect(self, before: Echoes, now: Echoes) -> float:
        if before.shortest_ms is None or now.shortest_ms is None:
            return 0.0
        return (now.shortest_ms - before.shortest_ms) / (2 * (self.latency_ms - self.jitter_ms))


@dataclass(frozen=True)
class Loss(NetworkFault):
    """A part of the packets between the two sides is lost, at random, each way.

    It is proved when the share of unanswered echo requests has grown by half of what both ways lose together, which is
    at least half of the percentage asked for. A true loss of that percentage fails this between two guests with a
    probability below 0.0003, whatever the percentage.
    """

    percent: float = 5.0

    shown = 0.5
    over = 0.5

    @property
    def kind(self) -> str:
        return "loss"

    @property
    def requests(self) -> int:
        return max(40, math.ceil(LOSS_ROUND_TRIPS / (self.percent / 100)))

    def action(self) -> Mapping[str, Any]:
        return {"action": "loss", "loss": {"loss": f"{self.percent:g}", "correlation": "0"}}

    def effect(self, before: Echoes, now: Echoes) -> float:
        both_ways = 1 - (1 - self.percent / 100) ** 2
        return (now.lost - before.lost) / both_ways
