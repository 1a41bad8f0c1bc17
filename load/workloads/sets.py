"""Set: unique elements are added, and the whole set is read. What was added and acknowledged has to stay."""

from __future__ import annotations

from collections.abc import Sequence

from drainproof.record.history import Act, Step
from load.workloads.transaction import Execute, Transaction, Turn, Workload, some_level

NAME = "set"
SEEN_PER_TURN = 100
"""So many elements a turn reads on average at most: a set that has grown is read less often."""


def plan(turn: Turn) -> list[Transaction]:
    """A new element, or a look at all of them."""
    chance = turn.chance
    likely_size = 1 + turn.round * turn.members
    if chance.random() < min(0.5, SEEN_PER_TURN / likely_size):
        return [Transaction(NAME, (Step(Act.MEMBERS),), some_level(chance))]
    return [Transaction(NAME, (Step(Act.ADD, value=turn.values[0]),))]


def _add(execute: Execute, step: Step) -> Step:
    execute("INSERT INTO elements (id) VALUES (%s)", (step.value,))
    return step


def _members(execute: Execute, step: Step) -> Step:
    rows = execute("SELECT id FROM elements ORDER BY id")
    return step._replace(seen=tuple(int(row[0]) for row in rows))


def final(execute: Execute, _keys: Sequence[int]) -> tuple[Step, ...]:
    """The whole set."""
    return (_members(execute, Step(Act.MEMBERS)),)


WORKLOAD = Workload(
    name=NAME,
    table="elements",
    create=("CREATE TABLE IF NOT EXISTS elements (id BIGINT NOT NULL PRIMARY KEY)",),
    plan=plan,
    acts={Act.ADD: _add, Act.MEMBERS: _members},
    final=final,
)
