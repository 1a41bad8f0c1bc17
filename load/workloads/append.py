"""Append: transactions that append unique values to lists and read lists. Order and atomicity show in the lists."""

from __future__ import annotations

from collections.abc import Sequence

from drainproof.record.history import Act, Step
from load.workloads.transaction import Execute, Transaction, Turn, Workload, some_level

NAME = "append"
MOST_ACTS = 4
ACTIVE_KEYS = 4
ROUNDS_PER_KEY = 16
"""Lists are left behind after so many rounds, else reading them would cost ever more."""

_APPEND = (
    "INSERT INTO lists (id, content) VALUES (%s, %s) "
    "ON DUPLICATE KEY UPDATE content = CONCAT(content, ',', VALUES(content))"
)


def plan(turn: Turn) -> list[Transaction]:
    """One transaction of a few acts on the lists that are in use in this round."""
    chance = turn.chance
    first = 1 + turn.round // ROUNDS_PER_KEY * ACTIVE_KEYS
    values = iter(turn.values)
    steps = []
    for _ in range(chance.randint(1, MOST_ACTS)):
        key = first + chance.randrange(ACTIVE_KEYS)
        steps.append(Step(Act.APPEND, key, next(values)) if chance.random() < 0.5 else Step(Act.READ, key))
    return [Transaction(NAME, tuple(steps), some_level(chance), explicit=len(steps) > 1)]


def _append(execute: Execute, step: Step) -> Step:
    execute(_APPEND, (step.key, str(step.value)))
    return step


def _read(execute: Execute, step: Step) -> Step:
    rows = execute("SELECT content FROM lists WHERE id = %s", (step.key,))
    return step._replace(seen=values_of(rows[0][0]) if rows else ())


def final(execute: Execute, keys: Sequence[int]) -> tuple[Step, ...]:
    """Every list; one that should be there and is not is read as empty."""
    found = {int(key): values_of(content) for key, content in execute("SELECT id, content FROM lists ORDER BY id")}
    return tuple(Step(Act.READ, key, seen=found.get(key, ())) for key in sorted({*found, *keys}))


def values_of(content: str) -> tuple[int, ...]:
    """The values of a list as it is stored."""
    return tuple(int(value) for value in content.split(",") if value)


WORKLOAD = Workload(
    name=NAME,
    table="lists",
    create=("CREATE TABLE IF NOT EXISTS lists (id BIGINT NOT NULL PRIMARY KEY, content MEDIUMTEXT NOT NULL)",),
    plan=plan,
    acts={Act.APPEND: _append, Act.READ: _read},
    final=final,
)
