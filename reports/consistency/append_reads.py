"""What reads of lists show by themselves: values that must not be there, and reads that contradict each other."""

from __future__ import annotations

import numpy as np

from drainproof.record import History
from reports.consistency.columns import last_of
from reports.consistency.findings import Findings, Flags, Integers, Kind, Teller, shown
from reports.consistency.lists import Lists


def find(history: History, lists: Lists, teller: Teller, found: Findings) -> None:
    """Look for G1a, G1b, phantoms, duplicates, incompatible orders, and reads at odds with their own transaction."""
    if not len(lists.reads):
        return
    shelf = _Shelf(history, lists, teller)
    _phantoms(shelf, found)
    _aborted(shelf, found)
    _duplicates(shelf, found)
    _incompatible(shelf, found)
    _intermediate(shelf, found)
    _within(shelf, found)


class _Shelf:
    """The reads, and how they are put into words."""

    def __init__(self, history: History, lists: Lists, teller: Teller) -> None:
        self.history = history
        self.lists = lists
        self.teller = teller
        self.keys = lists.reads.key[lists.elements.read]
        """The list of each element."""

    def row(self, read: int) -> int:
        return int(self.lists.reads.row[read])

    def writer(self, append: int) -> int:
        return int(self.lists.appends.row[append])

    def saw(self, read: int) -> str:
        """What a read saw of which list."""
        reads = self.lists.reads
        return f"{self.list(reads.key[read])} as {shown(self.history.steps.seen_by(int(reads.step[read])))}"

    def list(self, key: int) -> str:
        return f"list {self.lists.keys[key]}"


def _phantoms(shelf: _Shelf, found: Findings) -> None:
    elements = shelf.lists.elements
    strange = np.flatnonzero(elements.append < 0)
    if len(strange):
        one = int(strange[0])
        said = f"nobody appended {elements.value[one]}, read from {shelf.list(shelf.keys[one])}"
        count = _distinct(shelf.keys[strange], elements.value[strange])
        found.add(Kind.PHANTOM, count, shelf.teller.witness(said, shelf.row(elements.read[one])))


def _aborted(shelf: _Shelf, found: Findings) -> None:
    elements = shelf.lists.elements
    known = np.flatnonzero(elements.append >= 0)
    aborted = known[shelf.history.refused[shelf.lists.appends.row[elements.append[known]]]]
    if len(aborted):
        one = int(aborted[0])
        said = f"{elements.value[one]} was refused, and read from {shelf.list(shelf.keys[one])}"
        rows = shelf.writer(elements.append[one]), shelf.row(elements.read[one])
        found.add(Kind.G1A, len(np.unique(elements.append[aborted])), shelf.teller.witness(said, *rows))


def _duplicates(shelf: _Shelf, found: Findings) -> None:
    elements = shelf.lists.elements
    order = np.lexsort((elements.value, elements.read))
    same = (np.diff(elements.read[order]) == 0) & (np.diff(elements.value[order]) == 0)
    again = order[1:][same]
    if len(again):
        one = int(again[0])
        read, append = int(elements.read[one]), int(elements.append[one])
        writer = [shelf.writer(append)] if append >= 0 else []
        said = f"{elements.value[one]} is more than once in {shelf.saw(read)}"
        count = _distinct(shelf.keys[again], elements.value[again])
        found.add(Kind.DUPLICATE, count, shelf.teller.witness(said, *writer, shelf.row(read)))


def _incompatible(shelf: _Shelf, found: Findings) -> None:
    reads = shelf.lists.reads
    odd = np.flatnonzero(~reads.compatible)
    if len(odd):
        one = int(odd[reads.length[odd].argmin()])
        other = int(shelf.lists.longest[reads.key[one]])
        told = [f"{shelf.teller.who(shelf.row(read))} read {shelf.saw(read)}" for read in (one, other)]
        ops = shelf.teller.ops((shelf.row(one), shelf.row(other)))
        found.add(Kind.INCOMPATIBLE, len(odd), (f"neither is how the other begins: {'; '.join(told)}", ops))


def _intermediate(shelf: _Shelf, found: Findings) -> None:
    """Reads that end with a value after which its own transaction appended another to the list."""
    lists, reads, appends = shelf.lists, shelf.lists.reads, shelf.lists.appends
    followed = np.ones(len(appends.row), np.bool_)
    followed[last_of(appends.row * len(lists.keys) + appends.key)[1]] = False
    last = lists.at(reads.key, reads.length - 1)
    half = np.flatnonzero((last >= 0) & reads.compatible)
    half = half[followed[last[half]] & (appends.row[last[half]] != reads.row[half])]
    if len(half):
        one = int(half[0])
        writer = shelf.writer(last[one])
        said = f"op {shelf.teller.op(shelf.row(one))} read half of what op {shelf.teller.op(writer)} appended"
        found.add(Kind.G1B, len(half), shelf.teller.witness(said, writer, shelf.row(one)))


def _within(shelf: _Shelf, found: Findings) -> None:
    """Reads that differ from an earlier one of their transaction by others' appends, or lack its own."""
    reads = shelf.lists.reads
    groups = reads.row * len(shelf.lists.keys) + reads.key
    distinct, first = np.unique(groups, return_index=True)
    earlier = first[np.searchsorted(distinct, groups)]
    differs = (reads.own[earlier] == 0) & (reads.length - reads.own != reads.length[earlier])
    unseen = _without_own(shelf)
    _add(shelf, found, Kind.INTERNAL, np.flatnonzero(differs & ~unseen), "but differently before")
    _add(shelf, found, Kind.OWN_WRITE, np.flatnonzero(unseen), "without what it had appended itself")


def _without_own(shelf: _Shelf) -> Flags:
    """The reads that do not end with what their transaction had appended to the list before."""
    reads, appends, steps = shelf.lists.reads, shelf.lists.appends, shelf.history.steps
    unseen = np.zeros(len(reads), np.bool_)
    for read in np.flatnonzero(reads.own).tolist():
        first, last = np.searchsorted(appends.row, (reads.row[read], reads.row[read] + 1))
        before = (appends.key[first:last] == reads.key[read]) & (appends.step[first:last] < reads.step[read])
        wrote, seen = appends.value[first:last][before], steps.seen_by(reads.step[read])
        unseen[read] = not np.array_equal(seen[len(seen) - min(len(seen), len(wrote)) :], wrote)
    return unseen


def _add(shelf: _Shelf, found: Findings, kind: Kind, reads: Integers, said: str) -> None:
    if len(reads):
        one = int(reads[0])
        told = f"op {shelf.teller.op(shelf.row(one))} read {shelf.saw(one)}, {said}"
        found.add(kind, len(reads), shelf.teller.witness(told, shelf.row(one)))


def _distinct(keys: Integers, values: Integers) -> int:
    return int(np.unique(np.stack((keys, values)), axis=1).shape[1])
