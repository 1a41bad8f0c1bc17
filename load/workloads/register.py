"""Register: each session writes rising versions to its own register; it and sessions on other members read them.

A register has one writer, one write at a time, so what is read can only rise: a write that was left open when its
session ended may still take effect, but it cannot overwrite a later one.
"""

from __future__ import annotations

from collections.abc import Sequence

from drainproof.record.history import PLAIN, SYNC, Act, Step
from load.workloads.transaction import Execute, Transaction, Turn, Workload

NAME = "register"
SYNC_SHARE = 0.7

_WRITE = "INSERT INTO registers (id, version) VALUES (%s, %s) ON DUPLICATE KEY UPDATE version = VALUES(version)"


def plan(turn: Turn) -> list[Transaction]:
    """The members write in turn, then read their own register; the others read that register at the same time."""
    writer = turn.round % turn.members
    if writer == turn.member:
        write = Step(Act.WRITE, turn.session, 1 + turn.slot)
        return [Transaction(NAME, (write,)), Transaction(NAME, (Step(Act.GET, turn.session),))]
    if writer not in turn.sessions:
        return []
    level = SYNC if turn.chance.random() < SYNC_SHARE else PLAIN
    return [Transaction(NAME, (Step(Act.GET, turn.sessions[writer]),), level)]


def _write(execute: Execute, step: Step) -> Step:
    execute(_WRITE, (step.key, step.value))
    return step


def _get(execute: Execute, step: Step) -> Step:
    """A register that does not exist yet has the version 0."""
    rows = execute("SELECT version FROM registers WHERE id = %s", (step.key,))
    return step._replace(value=int(rows[0][0]) if rows else 0)


def final(execute: Execute, keys: Sequence[int]) -> tuple[Step, ...]:
    """Every register; one that should be there and is not has the version 0."""
    found = {int(key): int(version) for key, version in execute("SELECT id, version FROM registers ORDER BY id")}
    return tuple(Step(Act.GET, key, found.get(key, 0)) for key in sorted({*found, *keys}))


WORKLOAD = Workload(
    name=NAME,
    table="registers",
    create=("CREATE TABLE IF NOT EXISTS registers (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL)",),
    plan=plan,
    acts={Act.WRITE: _write, Act.GET: _get},
    final=final,
)
