"""Blackouts: how they are planned, how a wire tells what it really did, and where that truth is kept."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from typing import Literal

Mode = Literal["drop", "hold"]
MODES: tuple[Mode, Mode] = ("drop", "hold")
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Blackout:
    """A time in which a wire carries nothing, in monotonic ns; what it holds it passes on, in order, at the end."""

    begin_ns: int
    end_ns: int
    mode: Mode

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.begin_ns


@dataclass(frozen=True, slots=True)
class Truth:
    """What a wire did: the bounds of each border, which differ only when the wire itself was late there."""

    mode: Mode
    begin_lo_ns: int
    begin_hi_ns: int
    end_lo_ns: int
    end_hi_ns: int
    dropped: int = 0
    held: int = 0
    """Frames that were passed on at the end."""
    late_ns: int = 0
    """The longest that a frame waited for the wire near a border."""
    drained_ns: int = 0
    """When the last of the queue that the blackout left was let go, 0 without one; until then every frame is late."""

    @property
    def blurred(self) -> bool:
        """Whether the truth itself is an interval, because the wire was late near a border."""
        return self.begin_lo_ns != self.begin_hi_ns or self.end_lo_ns != self.end_hi_ns

    @property
    def begin_ns(self) -> int:
        return (self.begin_lo_ns + self.begin_hi_ns) // 2

    @property
    def end_ns(self) -> int:
        return (self.end_lo_ns + self.end_hi_ns) // 2

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.begin_ns

    @property
    def shortest_ns(self) -> int:
        return self.end_lo_ns - self.begin_hi_ns

    @property
    def longest_ns(self) -> int:
        return self.end_hi_ns - self.begin_lo_ns


def log_uniform(chance: random.Random, shortest_ms: float, longest_ms: float) -> int:
    """A length in ns whose logarithm is uniform, so that every order of magnitude is met as often."""
    return round(exp(chance.uniform(log(shortest_ms), log(longest_ms))) * MS)


def spread(
    chance: random.Random, lengths_ns: Sequence[int], first_ns: int, pause_ms: tuple[float, float]
) -> list[Blackout]:
    """Blackouts of these lengths one after another, with random pauses between them and a random mode each."""
    found = []
    for length in lengths_ns:
        begin = first_ns + round(chance.uniform(*pause_ms) * MS)
        found.append(Blackout(begin, begin + length, chance.choice(MODES)))
        first_ns = begin + length
    return found


def as_line(blackouts: Iterable[Blackout]) -> bytes:
    """What a wire is told: one line of JSON."""
    return json.dumps([asdict(blackout) for blackout in blackouts]).encode() + b"\n"


def from_line(line: bytes) -> list[Blackout]:
    """The blackouts in the order in which they begin."""
    return sorted((Blackout(**entry) for entry in json.loads(line)), key=lambda blackout: blackout.begin_ns)


def read_truth(path: Path) -> list[Truth]:
    """Everything that a wire has said it did, in order; a file that is not there yet says nothing."""
    if not path.exists():
        return []
    return [Truth(**json.loads(line)) for line in path.read_text().splitlines()]
