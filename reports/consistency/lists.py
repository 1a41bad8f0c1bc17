"""Lists: what was appended and read, and the order of each list's versions, recovered from its longest read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drainproof.record import Act, History
from reports.consistency.columns import Lookup, chunks, last_of, spread, steps_of
from reports.consistency.findings import Flags, Integers
from reports.verdict import MissingEvidenceError


@dataclass(frozen=True)
class Appends:
    """Every append, of whichever outcome."""

    row: Integers
    """Its operation."""
    key: Integers
    """The number of its list."""
    value: Integers
    step: Integers


@dataclass(frozen=True)
class Reads:
    """The reads of acknowledged operations; no other has told what it saw."""

    row: Integers
    key: Integers
    step: Integers
    length: Integers
    own: Integers
    """How many appends its own transaction had made to the list before."""
    compatible: Flags
    """Whether what it saw is how the longest read of the list begins."""

    def where(self, rows: Flags | Integers) -> Reads:
        return Reads(
            self.row[rows], self.key[rows], self.step[rows], self.length[rows], self.own[rows], self.compatible[rows]
        )

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class Elements:
    """The distinct reads of a list, value by value: the longest, and those that contradict it."""

    read: Integers
    """The read, by its place among the reads."""
    append: Integers
    """The append of the value, or -1."""
    value: Integers


@dataclass(frozen=True)
class Lists:
    """All that clients know of the lists."""

    keys: Integers
    appends: Appends
    reads: Reads
    longest: Integers
    """For each list the place of its longest read, or -1."""
    begins: Integers
    """Where the order of each list begins in `order`; one more than there are lists."""
    order: Integers
    """The appends in the order of each list's versions, one list after another; -1 for what nobody appended."""
    position: Integers
    """For each append its place in the order of its list, or -1."""
    sound: Flags
    """Whether the order of a list has every value once, so that dependencies follow from it."""
    elements: Elements

    def length(self) -> Integers:
        """How long the order of each list is."""
        return np.diff(self.begins)

    def at(self, key: Integers, position: Integers) -> Integers:
        """The append at a place of a list's order; -1 outside of it."""
        inside = (position >= 0) & (position < self.length()[key])
        places = np.where(inside, self.begins[key] + position, 0)
        return np.where(inside, self.order[places], -1) if len(self.order) else np.full(len(key), -1)


def lists_of(history: History) -> Lists:
    """What a history tells of its lists. Raises MissingEvidenceError when one value was appended by two operations."""
    steps = history.steps
    written, read = steps_of(history, Act.APPEND), steps_of(history, Act.READ)
    read = read[history.acknowledged[steps.row[read]]]
    keys, codes = np.unique(np.concatenate((steps.key[written], steps.key[read])), return_inverse=True)
    appends = Appends(steps.row[written], codes[: len(written)], steps.value[written], written)
    lookup = Lookup(appends.key, appends.value)
    if len(again := lookup.twice()):
        one = again[0]
        raise MissingEvidenceError(
            f"value {appends.value[one]} was appended to list {keys[appends.key[one]]} by two operations:"
            " who wrote what was read cannot be told"
        )
    length = steps.lengths()[read]
    key = codes[len(written):]
    row = steps.row[read]
    longest = _longest(row, key, length, len(keys))
    compatible = _compatible(history, read, length, longest[key])
    reads = Reads(row, key, read, length, _own(appends, row, key, read), compatible)
    elements = _elements(history, reads, np.union1d(longest[longest >= 0], np.flatnonzero(~compatible)), lookup)
    return _ordered(keys, appends, reads, longest, elements)


def _longest(row: Integers, key: Integers, length: Integers, keys: int) -> Integers:
    """For each list its longest read, of several the first."""
    order = np.lexsort((-row, length, key))
    distinct, last = last_of(key[order])
    found = np.full(keys, -1)
    found[distinct] = order[last]
    return found


def _compatible(history: History, step: Integers, length: Integers, longest: Integers) -> Flags:
    """Whether each read is a prefix of the longest read of its list."""
    begins, seen = history.steps.begins, history.steps.seen
    good = np.ones(len(step), np.bool_)
    for piece in chunks(length):
        lengths = length[piece]
        differs = seen[spread(begins[step[piece]], lengths)] != seen[spread(begins[step[longest[piece]]], lengths)]
        good[piece.start + np.repeat(np.arange(len(lengths)), lengths)[differs]] = False
    return good


def _own(appends: Appends, row: Integers, key: Integers, step: Integers) -> Integers:
    """How many appends to the list its own transaction had made before each read."""
    width = int(max(appends.key.max(initial=0), key.max(initial=0))) + 1
    span = int(max(appends.step.max(initial=0), step.max(initial=0))) + 1
    codes = np.sort((appends.row * width + appends.key) * span + appends.step)
    group = (row * width + key) * span
    return np.asarray(np.searchsorted(codes, group + step) - np.searchsorted(codes, group))


def _elements(history: History, reads: Reads, chosen: Integers, lookup: Lookup) -> Elements:
    lengths = reads.length[chosen]
    values = history.steps.seen[spread(history.steps.begins[reads.step[chosen]], lengths)]
    return Elements(
        np.repeat(chosen, lengths), lookup.find(np.repeat(reads.key[chosen], lengths), values), values
    )


def _ordered(keys: Integers, appends: Appends, reads: Reads, longest: Integers, elements: Elements) -> Lists:
    is_order = np.zeros(len(reads), np.bool_)
    is_order[longest[longest >= 0]] = True
    chosen = is_order[elements.read]
    by_key = np.argsort(reads.key[elements.read[chosen]], kind="stable")
    order = elements.append[chosen][by_key]
    key = reads.key[elements.read[chosen]][by_key]
    begins = np.concatenate(([0], np.cumsum(np.bincount(key, minlength=len(keys)))))
    position = np.full(len(appends.row), -1)
    known = np.flatnonzero(order >= 0)[::-1]
    position[order[known]] = known - begins[key[known]]  # of a value that is there twice, the first place
    sound = np.ones(len(keys), np.bool_)
    sound[key[known][position[order[known]] != known - begins[key[known]]]] = False
    return Lists(keys, appends, reads, longest, begins, order, position, sound, elements)
