"""The graph of dependencies between transactions on lists: which wrote, read and overwrote which version."""

from __future__ import annotations

import numpy as np

from drainproof.record import History
from reports.consistency.cycles import Edge, Edges
from reports.consistency.findings import Flags, Integers
from reports.consistency.lists import Lists, Reads


def external(history: History, lists: Lists) -> Flags:
    """The reads from which dependencies follow: a transaction's first of a list, of a known version, before the end.

    A read after an append of its own transaction tells nothing that the order of the versions does not tell. Reads at
    the end are the audit's: they are no transactions of the workload.
    """
    reads = lists.reads
    first = np.zeros(len(reads), np.bool_)
    first[np.unique(reads.row * len(lists.keys) + reads.key, return_index=True)[1]] = True
    known = reads.compatible & lists.sound[reads.key]
    return np.asarray(first & (reads.own == 0) & known & ~history.final[reads.row])


def lost_updates(lists: Lists, reads: Reads) -> Flags:
    """Which of those reads were followed by an append of the same transaction that another's append had overtaken."""
    first = _first_append(lists)
    width = len(lists.keys)
    groups = lists.appends.row[first] * width + lists.appends.key[first]
    if not len(groups):
        return np.zeros(len(reads), np.bool_)
    wanted = reads.row * width + reads.key
    places = np.searchsorted(groups, wanted).clip(max=len(groups) - 1)
    wrote = groups[places] == wanted
    return np.asarray(wrote & (lists.position[first[places]] > reads.length))


def dependencies(history: History, lists: Lists, reads: Reads) -> Edges:
    """The edges ww, wr and rw; `reads` are those from which edges follow.

    The anti-dependency of a lost update closes a cycle by itself, and is told as what it is: it is not among them.
    """
    written = _writes(history, lists)
    key, length, row = reads.key, reads.length, reads.row
    read, overwriting = lists.at(key, length - 1), lists.at(key, length)
    changes = _rows(lists, read) != _rows(lists, overwriting)  # else the read saw half of what one transaction wrote
    kept = changes & ~lost_updates(lists, reads)
    edges = Edges(
        np.concatenate((_rows(lists, written[:-1]), _rows(lists, read), row[kept])),
        np.concatenate((_rows(lists, written[1:]), row, _rows(lists, overwriting[kept]))),
        np.repeat(
            np.array([*Edge], np.int8), (max(len(written) - 1, 0), len(read), int(kept.sum()))
        ),
        np.concatenate((_keys(lists, written[1:]), key, key[kept])),
    )
    same_list = np.ones(len(edges), np.bool_)
    if len(written):
        same_list[: len(written) - 1] = _keys(lists, written[:-1]) == _keys(lists, written[1:])
    real = (edges.source >= 0) & (edges.target >= 0) & (edges.source != edges.target) & same_list
    edges = edges.where(real)
    return edges.where(~history.refused[edges.source] & ~history.refused[edges.target])


def _writes(history: History, lists: Lists) -> Integers:
    """The appends of sound lists in the order of versions, without what nobody wrote and what was refused."""
    known = lists.order[lists.order >= 0]
    rows, keys = lists.appends.row[known], lists.appends.key[known]
    return known[lists.sound[keys] & ~history.refused[rows]]


def _rows(lists: Lists, appends: Integers) -> Integers:
    """The operations of appends; -1 for none."""
    if not len(lists.appends.row):
        return np.full(len(appends), -1)
    return np.where(appends >= 0, lists.appends.row[appends], -1)


def _keys(lists: Lists, appends: Integers) -> Integers:
    return lists.appends.key[appends]


def _first_append(lists: Lists) -> Integers:
    """The first append of each transaction to each list, sorted by operation and list."""
    appends = lists.appends
    groups = appends.row * len(lists.keys) + appends.key
    return np.asarray(np.unique(groups, return_index=True)[1])
