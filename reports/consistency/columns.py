"""Columns: finding and gathering in NumPy arrays what a million operations wrote and saw."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drainproof.record import Act, History
from reports.consistency.findings import Flags, Integers

WRITES = (Act.APPEND, Act.TRANSFER, Act.ADD, Act.WRITE, Act.BUMP)
"""The steps that change something."""
CHUNK_VALUES = 1 << 22
"""How many values are compared at once: what a checker needs is bounded by the history, not by what it compares."""


class Lookup:
    """Finds a pair of a group (0, 1, ...) and a value among those that were given; each was given once."""

    def __init__(self, groups: Integers, values: Integers) -> None:
        self._values = np.unique(values)
        codes = groups * len(self._values) + np.searchsorted(self._values, values)
        self._order = np.argsort(codes, kind="stable")
        self._codes = codes[self._order]

    def twice(self) -> Integers:
        """The places of those that were given although they had been before."""
        return np.asarray(self._order[1:][np.diff(self._codes) == 0])

    def find(self, groups: Integers, values: Integers) -> Integers:
        """The place of each pair among the given ones, or -1."""
        if not len(self._codes):
            return np.full(len(values), -1)
        ranks = np.searchsorted(self._values, values).clip(max=len(self._values) - 1)
        codes = groups * len(self._values) + ranks
        places = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        found = (self._values[ranks] == values) & (self._codes[places] == codes)
        return np.where(found, self._order[places], -1)


def spread(begins: Integers, lengths: Integers) -> Integers:
    """The places begin, begin + 1, ... of each run, one run after another."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(begins - ends + lengths, lengths) + np.arange(total)


def chunks(lengths: Integers) -> Iterator[slice]:
    """Cuts runs into slices of at most CHUNK_VALUES values each, or of one run."""
    ends = np.cumsum(lengths)
    first = 0
    while first < len(lengths):
        base = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, base + CHUNK_VALUES, side="right")))
        yield slice(first, last)
        first = last


def last_of(groups: Integers) -> tuple[Integers, Integers]:
    """The distinct groups, and the last place of each."""
    distinct, places = np.unique(groups[::-1], return_index=True)
    return distinct, len(groups) - 1 - places


def steps_of(history: History, act: Act) -> Integers:
    """The places of the steps that do one thing."""
    return np.flatnonzero(history.steps.act == act)


def written(history: History) -> int:
    """How many operations wrote something before the end and were acknowledged."""
    rows = np.unique(history.steps.row[np.isin(history.steps.act, WRITES)])
    return int((history.acknowledged[rows] & ~history.final[rows]).sum())


def unclear(history: History) -> Flags:
    """Which operations were neither acknowledged nor refused."""
    return ~(history.acknowledged | history.refused)


def place(history: History, member: str) -> int:
    """The number of a member in the history, or -1."""
    return history.members.index(member) if member in history.members else -1
