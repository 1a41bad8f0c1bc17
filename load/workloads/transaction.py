"""What the workloads are made of: turns, the transactions planned for them, and the steps of a transaction as SQL."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from drainproof.record.history import PLAIN, SYNC, Act, Step

READING = frozenset({Act.READ, Act.BALANCES, Act.MEMBERS, Act.GET})
TAKING_TURNS = 5
"""How many workloads there are; each has every fifth slot."""
VALUES_PER_TURN = 8
"""How many values a member may use up in one turn."""


class Execute(Protocol):
    """Runs one statement and returns its rows; raises what the database raises."""

    def __call__(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[Sequence[Any]]: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """One member's turn in one slot of the schedule. The seed alone decides what is done in it."""

    seed: int
    slot: int
    member: int
    """Its number, counted from 0."""
    session: int
    sessions: Mapping[int, int]
    """The latest session of each member, by the member's number."""
    members: int

    @property
    def chance(self) -> random.Random:
        """Begins anew whenever it is asked for."""
        return random.Random(f"{self.seed}/{self.slot}/{self.member}")

    @property
    def round(self) -> int:
        """How often each workload has had its slot before."""
        return self.slot // TAKING_TURNS

    @property
    def values(self) -> range:
        """Values that no other turn uses."""
        first = 1 + (self.slot * self.members + self.member) * VALUES_PER_TURN
        return range(first, first + VALUES_PER_TURN)


@dataclass(frozen=True, slots=True)
class Transaction:
    """Steps that are taken in one transaction of one session."""

    workload: str
    steps: tuple[Step, ...]
    level: str = PLAIN
    explicit: bool = False
    """Whether it needs BEGIN and COMMIT: it takes more than one statement."""

    @property
    def writes(self) -> bool:
        return any(step.act not in READING for step in self.steps)


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload: its table, what a turn does there, and how each of its acts is performed."""

    name: str
    table: str
    create: tuple[str, ...]
    """Statements that make the table and its first rows; they may be executed again."""
    plan: Callable[[Turn], list[Transaction]]
    acts: Mapping[Act, Callable[[Execute, Step], Step]]
    final: Callable[[Execute, Sequence[int]], tuple[Step, ...]]
    """All that the table holds, given the keys that ought to be there; in statements without arguments."""


def some_level(chance: random.Random) -> str:
    """With wsrep_sync_wait or without, as often."""
    return chance.choice((SYNC, PLAIN))
