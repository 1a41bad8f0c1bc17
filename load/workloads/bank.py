"""Bank: money moves between accounts and is never made. What all accounts hold is read in one snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from drainproof.record.history import Act, Step
from load.workloads.transaction import Execute, Transaction, Turn, Workload, some_level

NAME = "bank"
ACCOUNTS = 8
OPENING_BALANCE = 100
TOTAL = ACCOUNTS * OPENING_BALANCE
LARGEST_AMOUNT = 5

_ACCOUNTS = range(1, ACCOUNTS + 1)
_HALVES = tuple(
    f"SELECT balance FROM accounts WHERE id BETWEEN {half[0]} AND {half[-1]} ORDER BY id"
    for half in (_ACCOUNTS[: ACCOUNTS // 2], _ACCOUNTS[ACCOUNTS // 2 :])
)


def plan(turn: Turn) -> list[Transaction]:
    """A transfer, or a look at all balances."""
    chance = turn.chance
    if chance.random() < 0.5:
        return [Transaction(NAME, (Step(Act.BALANCES),), some_level(chance), explicit=True)]
    source, target = chance.sample(_ACCOUNTS, 2)
    step = Step(Act.TRANSFER, source, target, (chance.randint(1, LARGEST_AMOUNT),))
    return [Transaction(NAME, (step,), explicit=True)]


def _transfer(execute: Execute, step: Step) -> Step:
    (amount,) = step.seen
    # In the order of the accounts: two transfers on one member then wait for each other and do not deadlock.
    for account, change in sorted(((step.key, -amount), (step.value, amount))):
        execute("UPDATE accounts SET balance = balance + %s WHERE id = %s", (change, account))
    return step


def _balances(execute: Execute, step: Step) -> Step:
    """Two statements of one transaction: only a snapshot that outlives the first makes them agree."""
    return step._replace(seen=tuple(int(row[0]) for half in _HALVES for row in execute(half)))


def final(execute: Execute, _keys: Sequence[int]) -> tuple[Step, ...]:
    """All balances."""
    return (_balances(execute, Step(Act.BALANCES)),)


WORKLOAD = Workload(
    name=NAME,
    table="accounts",
    create=(
        "CREATE TABLE IF NOT EXISTS accounts (id BIGINT NOT NULL PRIMARY KEY, balance BIGINT NOT NULL)",
        "INSERT IGNORE INTO accounts (id, balance) VALUES "
        + ", ".join(f"({account}, {OPENING_BALANCE})" for account in _ACCOUNTS),
    ),
    plan=plan,
    acts={Act.TRANSFER: _transfer, Act.BALANCES: _balances},
    final=final,
)
