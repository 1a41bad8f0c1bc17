"""How long each step takes on a simulated node: drawn around what was recorded on a real cluster, the same per seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Step(StrEnum):
    """What a node does to a pod or an instance, each after its time."""

    RUN_POD = "run-pod"
    RUN_TARGET = "run-target"
    START = "start"
    PREPARE = "prepare"
    BEGIN = "begin"
    ARRIVE = "arrive"
    COMPLETE = "complete"
    ABORT = "abort"
    STOP = "stop"
    END_POD = "end-pod"
    REFRESH_POD = "refresh-pod"
    REMOVE_POD = "remove-pod"


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds: the shortest, the median and the longest that were seen."""

    least: float
    median: float
    most: float

    def at(self, share: float) -> float:
        """The value below which this share of all lies: a straight line from the shortest to the median, and on."""
        if share < 0.5:
            return self.least + 2 * share * (self.median - self.least)
        return self.median + (2 * share - 1) * (self.most - self.median)


RECORDED: dict[Step, Spread] = {
    Step.RUN_POD: Spread(2.2, 2.8, 3.7),
    Step.RUN_TARGET: Spread(0.65, 0.75, 0.93),
    Step.START: Spread(1.9, 2.2, 3.1),
    Step.PREPARE: Spread(0.36, 0.56, 0.66),
    Step.BEGIN: Spread(0.01, 0.08, 0.13),
    Step.ARRIVE: Spread(1.2, 1.3, 2.0),
    Step.COMPLETE: Spread(0.07, 0.2, 0.31),
    Step.ABORT: Spread(0.3, 0.6, 0.9),
    Step.STOP: Spread(0.3, 0.35, 0.5),
    Step.END_POD: Spread(0.1, 0.3, 0.6),
}
"""Phases of starts and live migrations on Kubernetes 1.36 with KubeVirt 1.9; what is not here takes no time.

ARRIVE and COMPLETE share the 1.5 s (1.3 to 2.3) from Running to Succeeded: `completed` came 70 to 310 ms after the end.
How long a finished launcher takes to end was not recorded by itself; END_POD is what its neighbours leave for it.
"""
DOWNTIME_MS = Spread(53, 140, 300)
"""QEMU's own downtime in 15 recorded migrations."""


@dataclass
class Durations:
    """Draws; the n-th draw for a name is the same in every run with the same seed, whatever else is drawn."""

    seed: int
    scale: float = 1.0
    """What every duration is multiplied with."""
    _drawn: Counter[str] = field(default_factory=Counter)

    def seconds(self, step: Step, name: str) -> float:
        """How long this step takes this time for the object of that name."""
        spread = RECORDED.get(step)
        return self.scale * spread.at(self._share(f"{step}/{name}")) if spread else 0.0

    def downtime_ms(self, name: str) -> int:
        """How long the guest of that name stood still in its migration; never scaled, nothing waits for it."""
        return round(DOWNTIME_MS.at(self._share(f"downtime/{name}")))

    def _share(self, what: str) -> float:
        self._drawn[what] += 1
        return random.Random(f"{self.seed}/{what}/{self._drawn[what]}").random()
