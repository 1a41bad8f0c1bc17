"""What a checker finds: kinds of anomalies, which of them accuse, and a witness that a person can follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from drainproof.record import Act, History

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Witness = tuple[str, tuple[int, ...]]
"""A text, and the operations that it is about."""
SHOWN: Final = 12
"""How many values of a list a witness shows: its last ones."""
STEPS_SHOWN: Final = 6


class Kind(StrEnum):
    """An anomaly, as a certificate names it."""

    G0 = "G0 (cycle of writes)"
    G1A = "G1a (a refused write was read)"
    G1B = "G1b (an intermediate write was read)"
    G1C = "G1c (circular information flow)"
    LOST = "lost write"
    DUPLICATE = "write applied twice"
    PHANTOM = "value that nobody wrote"
    INCOMPATIBLE = "incompatible orders"
    WRONG_TOTAL = "wrong total"
    FINAL_TOTAL = "wrong total at the end"
    DIFFERENT = "members differ at the end"
    STALE_SYNC = "stale read in spite of wsrep_sync_wait"
    OWN_WRITE = "own write not read"
    NOT_MONOTONIC = "reads go back in time"
    G_SINGLE = "G-single (read skew)"
    G2_ITEM = "G2-item (write skew)"
    LOST_UPDATE = "lost update (P4)"
    INTERNAL = "reads of one transaction differ"
    STALE = "stale read"


BEHAVIOUR: Final = frozenset((Kind.G_SINGLE, Kind.G2_ITEM, Kind.LOST_UPDATE, Kind.INTERNAL, Kind.STALE))
"""What MariaDB Galera is known to do without any fault: it informs, and accuses nobody.

Certification compares what transactions wrote, never what they read, and there is no first-committer-wins across
members: P4, and with it G-single and G2-item. Members apply writes some time after they were acknowledged elsewhere:
stale reads without wsrep_sync_wait. InnoDB reads from a snapshot and writes to the newest version, and shows a
transaction the rows that it has changed: its reads may differ. (Jepsen, "MariaDB Galera Cluster 12.1.2", 2026;
MDEV-38977; Jepsen, "MySQL 8.0.34", 2023.)
"""
FAILURES: Final = frozenset(Kind) - BEHAVIOUR
"""What neither InnoDB nor Galera allows at any level used here: it accuses."""


@dataclass(frozen=True, slots=True)
class Finding:
    """All anomalies of one kind: how many, and the shortest as the witness."""

    kind: Kind
    count: int
    witness: str
    ops: tuple[int, ...]
    """The operations of the witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a checker says of one workload."""

    operations: int
    acknowledged: int
    writes: int
    """Acknowledged operations that wrote before the end."""
    reads: int
    """Acknowledged operations that read before the end."""
    findings: tuple[Finding, ...]
    open_present: int = 0
    """Writes without a clear answer that were there at the end."""
    open_absent: int = 0
    unread: tuple[str, ...] = ()
    """What was not read at the end although it should have been, a sentence a member."""

    def of(self, kinds: Iterable[Kind]) -> tuple[Finding, ...]:
        """The findings of some kinds."""
        wanted = frozenset(kinds)
        return tuple(finding for finding in self.findings if finding.kind in wanted)


class Findings:
    """Collects findings while a checker works; the first witness of a kind stays."""

    def __init__(self) -> None:
        self._found: dict[Kind, Finding] = {}

    def add(self, kind: Kind, count: int, witness: Witness) -> None:
        """Add so many anomalies of a kind."""
        known = self._found.get(kind)
        text, ops = (known.witness, known.ops) if known else witness
        self._found[kind] = Finding(kind, int(count) + (known.count if known else 0), text, ops)

    def all(self) -> tuple[Finding, ...]:
        """The findings in the order of their kinds."""
        return tuple(self._found[kind] for kind in Kind if kind in self._found)


class Teller:
    """Puts operations into words; `at` says an instant, in seconds after the first operation if it is not given."""

    def __init__(self, history: History, at: Callable[[int], str] | None = None) -> None:
        self._history = history
        begin = int(history.start_ns[0]) if len(history) else 0
        self._at = at or (lambda t_ns: f"{(t_ns - begin) / 1e9:.6f} s")

    def op(self, row: int) -> int:
        """The number of an operation."""
        return int(self._history.op[row])

    def ops(self, rows: Iterable[int]) -> tuple[int, ...]:
        return tuple(map(self.op, rows))

    def who(self, row: int) -> str:
        """An operation by its number, session, member, level and time."""
        history = self._history
        level = "final" if history.final[row] else "sync" if history.sync[row] else "plain"
        where = f"session {history.session[row]} on {history.members[history.member[row]]}, {level}"
        return f"op {self.op(row)} ({where}, {self._at(int(history.start_ns[row]))})"

    def tell(self, row: int) -> str:
        """An operation with what it did."""
        steps = self._history.steps
        first, last = np.searchsorted(steps.row, (row, row + 1))
        done = [self._step(step) for step in range(first, min(last, first + STEPS_SHOWN))]
        more = [f"{last - first - STEPS_SHOWN} more steps"] if last - first > STEPS_SHOWN else []
        return f"{self.who(row)}: {', '.join([*done, *more])}"

    def witness(self, said: str, *rows: int) -> Witness:
        """A sentence, followed by each of the operations that it is about."""
        distinct = tuple(dict.fromkeys(rows))
        return "; ".join([said, *map(self.tell, distinct)]), self.ops(distinct)

    def _step(self, step: int) -> str:
        steps = self._history.steps
        act, key, value = Act(int(steps.act[step])), int(steps.key[step]), int(steps.value[step])
        seen = steps.seen_by(step)
        told = {
            Act.APPEND: f"appended {value} to list {key}",
            Act.READ: f"read list {key} as {shown(seen)}",
            Act.TRANSFER: f"moved {seen[0] if len(seen) else '?'} from account {key} to {value}",
            Act.BALANCES: f"read the balances {shown(seen)}",
            Act.ADD: f"added {value}",
            Act.MEMBERS: f"read {len(seen)} values",
            Act.WRITE: f"wrote {value} to register {key}",
            Act.GET: f"read register {key} as {value}",
            Act.BUMP: f"set counter {key} from {value - 1} to {value}",
        }
        return told[act]


def shown(values: Integers) -> str:
    """A list of values, of which only the last ones are shown if there are many."""
    told = ", ".join(map(str, values[-SHOWN:].tolist()))
    return f"[{len(values) - SHOWN} more, {told}]" if len(values) > SHOWN else f"[{told}]"
