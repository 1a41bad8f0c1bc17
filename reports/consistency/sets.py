"""The set workload: unique values are added and all of them are read; what was acknowledged is there from then on.

After Jepsen's set and set-full checkers. A value that was acknowledged, or that anybody has read, and is not on a
member at the end is lost. A read that lacks what was acknowledged before it began is stale: it accuses only if
wsrep_sync_wait had made the member catch up first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drainproof.record import Act, History
from reports.consistency.columns import place, steps_of, unclear, written
from reports.consistency.findings import Findings, Flags, Integers, Kind, Report, Teller
from reports.verdict import MissingEvidenceError

WORKLOAD = "set"


class _Adds:
    """Every add, of whichever outcome, by its place among the sorted values."""

    def __init__(self, history: History) -> None:
        steps = steps_of(history, Act.ADD)
        order = np.argsort(history.steps.value[steps], kind="stable")
        self.value: Integers = history.steps.value[steps][order]
        self.row: Integers = history.steps.row[steps][order]
        again = np.flatnonzero(np.diff(self.value) == 0)
        if len(again):
            raise MissingEvidenceError(f"value {self.value[again[0]]} was added by two operations")
        self.acknowledged: Flags = history.acknowledged[self.row]
        self.refused: Flags = history.refused[self.row]
        acknowledged = np.flatnonzero(self.acknowledged)
        self.by_end: Integers = acknowledged[np.argsort(history.end_ns[self.row[acknowledged]], kind="stable")]
        """The acknowledged ones by when they were acknowledged."""
        self.ends: Integers = history.end_ns[self.row[self.by_end]]

    def find(self, values: Integers) -> Integers:
        """The add of each value, or -1."""
        if not len(self.value):
            return np.full(len(values), -1)
        places = np.searchsorted(self.value, values).clip(max=len(self.value) - 1)
        return np.where(self.value[places] == values, places, -1)


def check(history: History, members: Sequence[str], at: Callable[[int], str] | None = None) -> Report:
    """Check the set of a history; `members` are those on which it must have been read at the end.

    Raises MissingEvidenceError when clients added one value twice.
    """
    history = history.only(WORKLOAD)
    teller, found, adds = Teller(history, at), Findings(), _Adds(history)
    reads = steps_of(history, Act.MEMBERS)
    reads = reads[history.acknowledged[history.steps.row[reads]]]
    seen = np.zeros(len(adds.value), np.bool_)
    finals: dict[str, Flags] = {}
    places = {place(history, member): member for member in members}
    for read in reads.tolist():
        row = int(history.steps.row[read])
        there = _read(history, adds, read, teller, found)
        seen |= there
        if not history.final[row]:
            _stale(history, adds, row, there, teller, found)
        elif member := places.get(int(history.member[row])):
            finals[member] = there
    wanted = (adds.acknowledged | seen) & ~adds.refused
    for member, there in finals.items():
        if len(lost := np.flatnonzero(wanted & ~there)):
            said = f"{adds.value[lost[0]]} is missing from the set on {member} at the end"
            found.add(Kind.LOST, len(lost), teller.witness(said, int(adds.row[lost[0]])))
    still_open = unclear(history)[adds.row]
    at_the_end = np.logical_or.reduce([*finals.values(), np.zeros(len(adds.value), np.bool_)])
    return Report(
        operations=len(history),
        acknowledged=int(history.acknowledged.sum()),
        writes=written(history),
        reads=int((~history.final[history.steps.row[reads]]).sum()),
        findings=found.all(),
        open_present=int((still_open & at_the_end).sum()),
        open_absent=int((still_open & ~at_the_end).sum()),
        unread=tuple(f"the set was not read on {member} at the end" for member in members if member not in finals),
    )


def _read(history: History, adds: _Adds, read: int, teller: Teller, found: Findings) -> Flags:
    """Which values a read saw; what must not be in any is told."""
    values, row = history.steps.seen_by(read), int(history.steps.row[read])
    places = adds.find(values)
    there = np.zeros(len(adds.value), np.bool_)
    there[places[places >= 0]] = True
    if len(strange := np.flatnonzero(places < 0)):
        found.add(Kind.PHANTOM, len(strange), teller.witness(f"nobody added {values[strange[0]]}", row))
    if len(refused := np.flatnonzero(there & adds.refused)):
        said = f"{adds.value[refused[0]]} was refused, and read"
        found.add(Kind.G1A, len(refused), teller.witness(said, int(adds.row[refused[0]]), row))
    ordered = np.sort(values)
    if len(again := ordered[1:][np.diff(ordered) == 0]):
        writer = adds.find(again[:1])[0]
        rows = (int(adds.row[writer]), row) if writer >= 0 else (row,)
        found.add(Kind.DUPLICATE, len(again), teller.witness(f"{again[0]} is in the set more than once", *rows))
    return there


def _stale(history: History, adds: _Adds, row: int, there: Flags, teller: Teller, found: Findings) -> None:
    due = adds.by_end[: np.searchsorted(adds.ends, history.start_ns[row])]
    missing = due[~there[due]]
    if len(missing):
        writer = int(adds.row[missing[0]])
        kind = Kind.STALE_SYNC if history.sync[row] else Kind.STALE
        said = f"op {teller.op(row)} lacks {adds.value[missing[0]]}, which had been acknowledged"
        found.add(kind, 1, teller.witness(said, writer, row))
