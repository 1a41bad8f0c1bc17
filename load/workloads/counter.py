"""Counter: read, then write one more, in one transaction. Galera admits lost updates here: this informs, no more."""

from __future__ import annotations

from collections.abc import Sequence

from drainproof.record.history import Act, Step
from load.workloads.transaction import Execute, Transaction, Turn, Workload, some_level

NAME = "counter"
COUNTERS = 3

_KEYS = range(1, COUNTERS + 1)


def plan(turn: Turn) -> list[Transaction]:
    """One counter goes up by one."""
    chance = turn.chance
    return [Transaction(NAME, (Step(Act.BUMP, chance.choice(_KEYS)),), some_level(chance), explicit=True)]


def _bump(execute: Execute, step: Step) -> Step:
    rows = execute("SELECT value FROM counters WHERE id = %s", (step.key,))
    value = 1 + (int(rows[0][0]) if rows else 0)
    execute("UPDATE counters SET value = %s WHERE id = %s", (value, step.key))
    return step._replace(value=value)


def final(execute: Execute, _keys: Sequence[int]) -> tuple[Step, ...]:
    """All counters."""
    rows = execute("SELECT id, value FROM counters ORDER BY id")
    return tuple(Step(Act.GET, int(key), int(value)) for key, value in rows)


WORKLOAD = Workload(
    name=NAME,
    table="counters",
    create=(
        "CREATE TABLE IF NOT EXISTS counters (id BIGINT NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
        "INSERT IGNORE INTO counters (id, value) VALUES " + ", ".join(f"({key}, 0)" for key in _KEYS),
    ),
    plan=plan,
    acts={Act.BUMP: _bump},
    final=final,
)
