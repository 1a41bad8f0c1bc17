"""A seeded schedule of faults: drawn once, written into the record, and the same again for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from drainproof.record import EventLog


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault of a schedule: what is done, to whom, and how long the service is left alone before."""

    kind: str
    target: str
    pause_seconds: float


def draw(
    seed: int, kinds: Sequence[str], targets: Sequence[str], count: int, longest_pause_seconds: float = 0.0
) -> tuple[Planned, ...]:
    """So many faults in a random order that the seed decides: every kind comes about equally often.

    Each round goes through all kinds once, so that a schedule of at least as many faults as kinds leaves none out, and
    no target is chosen twice in a row where there is another: it would still be recovering.
    """
    # Not numpy's generators, nor hash(): Python promises the same numbers for a seed in every version and process.
    dice = random.Random(seed)
    drawn: list[Planned] = []
    left: list[str] = []
    while len(drawn) < count:
        left = left or dice.sample(list(kinds), len(kinds))
        others = [target for target in targets if not drawn or target != drawn[-1].target] or list(targets)
        pause = round(dice.uniform(0.0, longest_pause_seconds), 3)
        drawn.append(Planned(left.pop(), dice.choice(others), pause))
    return tuple(drawn)


def recorded(seed: int, drawn: Sequence[Planned], events: EventLog) -> None:
    """Write a schedule into the record, before the first of its faults."""
    content: Mapping[str, Any] = {"seed": seed, "faults": [asdict(planned) for planned in drawn]}
    events.add("schedule", "drawn", **content)
