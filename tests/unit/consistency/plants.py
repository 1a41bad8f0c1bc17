"""Anomalies to be planted into a clean history, each with the operations that must be its witness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from drainproof.record import Act, Operation, Outcome, Step
from drainproof.record.history import PLAIN, SYNC
from reports.consistency.findings import Kind
from tests.unit.consistency.world import MEMBERS, SECOND

A, B, C = MEMBERS
X, Y = 101, 102
AUDIT_NS = 10_000 * SECOND
Operations = list[Operation]
Into = Callable[[Operations], Operations]
"""Makes a history with an anomaly of one without."""


@dataclass(frozen=True)
class Plant:
    """One anomaly: its kind, its workload, how it gets into a history, and the operations that show it."""

    name: str
    kind: Kind
    workload: str
    into: Into
    ops: frozenset[int]


def op(
    number: int, *acts: Step, workload: str = "append", session: int | None = None, member: str = A, at: float = 1000,
    lasts: float = 5, outcome: Outcome = Outcome.OK, level: str = PLAIN,
) -> Operation:
    """One planted operation, of a session of its own if none is named."""
    return Operation(
        workload=workload, session=number if session is None else session, member=member, op=number,
        start_ns=int(at * SECOND), end_ns=int((at + lasts) * SECOND), outcome=outcome, acts=acts, level=level,
    )


def append(key: int, value: int) -> Step:
    return Step(Act.APPEND, key, value)


def read(key: int, *seen: int) -> Step:
    return Step(Act.READ, key, seen=seen)


def add(value: int) -> Step:
    return Step(Act.ADD, value=value)


def write(key: int, value: int) -> Step:
    return Step(Act.WRITE, key, value)


def get(key: int, value: int) -> Step:
    return Step(Act.GET, key, value)


def _audited(history: Operations, change: Callable[[str, tuple[Step, ...]], tuple[Step, ...]]) -> Operations:
    """The history with another audit, which comes long after everything else."""
    end_ns = AUDIT_NS + SECOND
    return [
        replace(one, acts=change(one.member, one.acts), start_ns=AUDIT_NS, end_ns=end_ns) if one.final else one
        for one in history
    ]


def lists(
    *ops: Operation, ends: Mapping[int, Sequence[int]], on: Mapping[str, Mapping[int, Sequence[int]]] | None = None
) -> Into:
    """Operations on lists of their own, and how these end on every member, or on some."""

    def into(history: Operations) -> Operations:
        def final(member: str, acts: tuple[Step, ...]) -> tuple[Step, ...]:
            return *acts, *(read(key, *seen) for key, seen in {**ends, **(on or {}).get(member, {})}.items())

        return [*_audited(history, final), *ops]

    return into


def on_set(*ops: Operation, more: Sequence[int], on: Mapping[str, Sequence[int]] | None = None) -> Into:
    """Operations on the set, and what it holds besides at the end on every member, or on some.

    Reads that are planted see all that the clean history leaves behind.
    """

    def into(history: Operations) -> Operations:
        left = next(one.acts[0].seen for one in history if one.final)

        def final(member: str, acts: tuple[Step, ...]) -> tuple[Step, ...]:
            return tuple(act._replace(seen=(*act.seen, *(on or {}).get(member, more))) for act in acts)

        whole = [
            replace(one, acts=tuple(
                act._replace(seen=(*left, *act.seen)) if act.act == Act.MEMBERS else act for act in one.acts
            ))
            for one in ops
        ]
        return [*_audited(history, final), *whole]

    return into


def _members(*seen: int) -> Step:
    return Step(Act.MEMBERS, seen=seen)


def _bank(change: Callable[[str, tuple[int, ...]], tuple[int, ...]], *ops: Operation) -> Into:
    def final(member: str, acts: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(act._replace(seen=change(member, tuple(act.seen))) for act in acts)

    return lambda history: [*_audited(history, final), *ops]


def _registers(
    *ops: Operation, ends: int, on: Mapping[str, int] | None = None
) -> Into:
    """Operations on one register, and its version at the end on every member, or on some."""

    def final(member: str, acts: tuple[Step, ...]) -> tuple[Step, ...]:
        return *acts, get(X, (on or {}).get(member, ends))

    return lambda history: [*_audited(history, final), *ops]


def _plant(name: str, kind: Kind, workload: str, into: Into, *ops: int) -> Plant:
    return Plant(name, kind, workload, into, frozenset(ops))


def _on(workload: str, number: int, *acts: Step, **facts: object) -> Operation:
    return op(number, *acts, workload=workload, **facts)  # type: ignore[arg-type]


REFUSED, UNKNOWN = Outcome.ERROR, Outcome.INDETERMINATE
LATER = {"at": 2000.0}

APPEND = (
    _plant("two write in both orders", Kind.G0, "append", lists(
        op(901, append(X, 1), append(Y, 1)), op(902, append(X, 2), append(Y, 2), member=B),
        ends={X: (1, 2), Y: (2, 1)},
    ), 901, 902),
    _plant("a refused append is read", Kind.G1A, "append", lists(
        op(901, append(X, 1), outcome=REFUSED), op(902, read(X, 1), at=2000), ends={X: ()},
    ), 901, 902),
    _plant("a refused append is there at the end", Kind.G1A, "append", lists(
        op(901, append(X, 1), outcome=REFUSED), ends={X: (1,)},
    ), 901),
    _plant("half a transaction is read", Kind.G1B, "append", lists(
        op(901, append(X, 1), append(X, 2)), op(902, read(X, 1)), ends={X: (1, 2)},
    ), 901, 902),
    _plant("two read each other's appends", Kind.G1C, "append", lists(
        op(901, append(X, 1), read(Y, 2)), op(902, append(Y, 2), read(X, 1)), ends={X: (1,), Y: (2,)},
    ), 901, 902),
    _plant("three in a circle", Kind.G1C, "append", lists(
        op(901, append(X, 1), append(Y, 3)), op(902, append(X, 2), append(103, 4)), op(903, read(103, 4), append(Y, 1)),
        ends={X: (1, 2), Y: (1, 3), 103: (4,)},
    ), 901, 902, 903),
    _plant("an acknowledged append is missing on one member", Kind.LOST, "append", lists(
        op(901, append(X, 1)), ends={X: (1,)}, on={B: {X: ()}},
    ), 901),
    _plant("an acknowledged append is missing everywhere", Kind.LOST, "append", lists(
        op(901, append(X, 1)), ends={X: ()},
    ), 901),
    _plant("an append that was read is gone", Kind.LOST, "append", lists(
        op(901, append(X, 1), outcome=UNKNOWN), op(902, read(X, 1), at=2000), ends={X: ()},
    ), 901),
    _plant("an append is there twice", Kind.DUPLICATE, "append", lists(
        op(901, append(X, 1)), op(902, append(X, 2)), ends={X: (1, 2, 1)},
    ), 901),
    _plant("nobody appended it", Kind.PHANTOM, "append", lists(
        op(901, append(X, 1)), op(902, read(X, 1, 77), at=2000), ends={X: (1, 77)},
    ), 902),
    _plant("two orders of one list", Kind.INCOMPATIBLE, "append", lists(
        op(901, append(X, 1)), op(902, append(X, 2)), op(903, read(X, 1, 2)), op(904, read(X, 2)), ends={X: (1, 2)},
    ), 903, 904),
    _plant("two members end in two orders", Kind.INCOMPATIBLE, "append", lists(
        op(901, append(X, 1)), op(902, append(X, 2)), ends={X: (1, 2)}, on={C: {X: (2, 1)}},
    )),
    _plant("stale although it waited", Kind.STALE_SYNC, "append", lists(
        op(901, append(X, 1)), op(902, read(X), member=B, at=2000, level=SYNC), ends={X: (1,)},
    ), 901, 902),
    _plant("stale", Kind.STALE, "append", lists(
        op(901, append(X, 1)), op(902, read(X), member=B, at=2000), ends={X: (1,)},
    ), 901, 902),
    _plant("its own append is not seen", Kind.OWN_WRITE, "append", lists(
        op(901, append(X, 1), read(X)), ends={X: (1,)},
    ), 901),
    _plant("one transaction reads two versions", Kind.INTERNAL, "append", lists(
        op(901, read(X), read(X, 1)), op(902, append(X, 1)), ends={X: (1,)},
    ), 901),
    _plant("half of a transaction is missed", Kind.G_SINGLE, "append", lists(
        op(901, append(X, 1), append(Y, 2)), op(902, read(X), read(Y, 2)), ends={X: (1,), Y: (2,)},
    ), 901, 902),
    _plant("two write what the other has read", Kind.G2_ITEM, "append", lists(
        op(901, read(X), append(Y, 2)), op(902, read(Y), append(X, 1)), ends={X: (1,), Y: (2,)},
    ), 901, 902),
    _plant("two append to what both have read", Kind.LOST_UPDATE, "append", lists(
        op(901, read(X), append(X, 1)), op(902, read(X), append(X, 2)), ends={X: (1, 2)},
    ), 901, 902),
)
BANK = (
    _plant("money is made on the way", Kind.WRONG_TOTAL, "bank", _bank(
        lambda _, seen: seen, _on("bank", 901, Step(Act.BALANCES, seen=(100, 100, 100, 101))),
    ), 901),
    _plant("an account is missing", Kind.WRONG_TOTAL, "bank", _bank(
        lambda _, seen: seen, _on("bank", 901, Step(Act.BALANCES, seen=(100, 100, 200))),
    ), 901),
    _plant("money is gone at the end", Kind.FINAL_TOTAL, "bank", _bank(lambda _, seen: (seen[0] - 1, *seen[1:]))),
    _plant("members end with other balances", Kind.DIFFERENT, "bank", _bank(
        lambda member, seen: (seen[0] - 1, seen[1] + 1, *seen[2:]) if member == C else seen,
    )),
)
SET = (
    _plant("an acknowledged add is missing on one member", Kind.LOST, "set", on_set(
        _on("set", 901, add(9001)), more=(9001,), on={B: ()},
    ), 901),
    _plant("an add that was read is gone", Kind.LOST, "set", on_set(
        _on("set", 901, add(9001), outcome=UNKNOWN), _on("set", 902, _members(9001), at=2000), more=(),
    ), 901),
    _plant("a refused add is there", Kind.G1A, "set", on_set(
        _on("set", 901, add(9001), outcome=REFUSED), more=(9001,),
    ), 901),
    _plant("nobody added it", Kind.PHANTOM, "set", on_set(_on("set", 901, _members(9009)), more=())),
    _plant("an add is there twice", Kind.DUPLICATE, "set", on_set(_on("set", 901, add(9001)), more=(9001, 9001)), 901),
    _plant("stale although it waited", Kind.STALE_SYNC, "set", on_set(
        _on("set", 901, add(9001)), _on("set", 902, _members(), member=B, at=2000, level=SYNC), more=(9001,),
    ), 901, 902),
    _plant("stale", Kind.STALE, "set", on_set(
        _on("set", 901, add(9001)), _on("set", 902, _members(), member=B, at=2000), more=(9001,),
    ), 901, 902),
)
_FIRST = _on("register", 901, write(X, 1), session=X)
_SECOND = _on("register", 902, write(X, 2), session=X, at=1100)
REGISTER = (
    _plant("its own write is not read after it waited", Kind.OWN_WRITE, "register", _registers(
        _FIRST, _on("register", 903, get(X, 0), session=X, member=B, at=1050, level=SYNC), ends=1,
    ), 901, 903),
    _plant("its own write is not read where it wrote", Kind.OWN_WRITE, "register", _registers(
        _FIRST, _SECOND, _on("register", 903, get(X, 1), session=X, at=1200), ends=2,
    ), 902, 903),
    _plant("reads go back on one member", Kind.NOT_MONOTONIC, "register", _registers(
        _FIRST, _SECOND, _on("register", 903, get(X, 2), session=77, member=B, at=1101),
        _on("register", 904, get(X, 1), session=77, member=B, at=1200), ends=2,
    ), 903, 904),
    _plant("reads go back on another member although it waited", Kind.NOT_MONOTONIC, "register", _registers(
        _FIRST, _SECOND, _on("register", 903, get(X, 2), session=77, member=B, at=1101),
        _on("register", 904, get(X, 1), session=77, member=C, at=1200, level=SYNC), ends=2,
    ), 903, 904),
    _plant("another's write is not read after it waited", Kind.STALE_SYNC, "register", _registers(
        _FIRST, _SECOND, _on("register", 903, get(X, 1), member=B, at=1200, level=SYNC), ends=2,
    ), 902, 903),
    _plant("another member lags behind", Kind.STALE, "register", _registers(
        _FIRST, _SECOND, _on("register", 903, get(X, 1), session=X, member=B, at=1200), ends=2,
    ), 902, 903),
    _plant("an acknowledged version is gone", Kind.LOST, "register", _registers(
        _FIRST, _SECOND, ends=2, on={B: 1},
    ), 902),
    _plant("nobody wrote the version", Kind.PHANTOM, "register", _registers(
        _FIRST, _on("register", 903, get(X, 5), at=1200), ends=1,
    ), 903),
    _plant("a refused version is read", Kind.G1A, "register", _registers(
        _on("register", 901, write(X, 1), outcome=REFUSED), _on("register", 903, get(X, 1), at=1200), ends=0,
    ), 901, 903),
    _plant("an open write is on one member only", Kind.DIFFERENT, "register", _registers(
        _FIRST, _on("register", 902, write(X, 2), at=1100, outcome=UNKNOWN), ends=1, on={C: 2},
    )),
)
COUNTER = (
    _plant("two increments write one number", Kind.LOST_UPDATE, "counter", lambda history: [
        *history, _on("counter", 951, Step(Act.BUMP, X, 1)), _on("counter", 952, Step(Act.BUMP, X, 1), member=B),
    ], 951, 952),
)
PLANTS = (*APPEND, *BANK, *SET, *REGISTER, *COUNTER)
