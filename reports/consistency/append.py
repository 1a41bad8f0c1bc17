"""The append workload: transactions append to lists and read them, so that every read tells a history of its list.

This is Elle's list-append analysis. Each value is appended once, so a read names the transactions that it depends on,
and their order. What accuses: cycles of ww and wr edges (G0, G1c), reads of refused or intermediate writes (G1a, G1b),
writes that are lost, doubled, or nobody's, and reads of which neither is how the other begins. What informs: cycles
with rw edges (G-single, G2-item), lost updates, stale reads at level plain, and reads of one transaction that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drainproof.record import History
from reports.consistency import append_reads, append_relations
from reports.consistency.columns import last_of, place, unclear, written
from reports.consistency.findings import Findings, Flags, Integers, Kind, Report, Teller
from reports.consistency.lists import Lists, lists_of

WORKLOAD = "append"


def check(history: History, members: Sequence[str], at: Callable[[int], str] | None = None) -> Report:
    """Check the lists of a history; `members` are those on which every list must have been read at the end.

    Raises MissingEvidenceError when one value was appended twice by clients: then nothing follows from reading it.
    """
    history = history.only(WORKLOAD)
    lists, found = lists_of(history), Findings()
    teller = Teller(history, at)
    append_reads.find(history, lists, teller, found)
    append_relations.find(history, lists, teller, found)
    there, unread = np.zeros(len(lists.appends.row), np.bool_), []
    for member in members:
        audited, present = _at_the_end(history, lists, member)
        wanted = _wanted(history, lists)
        _tell_lost(lists, np.flatnonzero(wanted & audited & ~present), member, teller, found)
        there |= present
        if not audited[wanted].all():
            missing = len(np.unique(lists.appends.key[wanted & ~audited]))
            unread.append(f"{missing} lists were not read on {member} at the end")
    still_open = unclear(history)[lists.appends.row]
    return Report(
        operations=len(history),
        acknowledged=int(history.acknowledged.sum()),
        writes=written(history),
        reads=len(np.unique(lists.reads.row[~history.final[lists.reads.row]])),
        findings=found.all(),
        open_present=int((still_open & there).sum()),
        open_absent=int((still_open & ~there).sum()),
        unread=tuple(unread),
    )


def _wanted(history: History, lists: Lists) -> Flags:
    """The appends that must be there at the end: those that were acknowledged, or read by whoever was acknowledged."""
    appends, elements = lists.appends, lists.elements
    read = np.zeros(len(appends.row), np.bool_)
    read[elements.append[elements.append >= 0]] = True
    return (history.acknowledged[appends.row] | read) & ~history.refused[appends.row]


def _at_the_end(history: History, lists: Lists, member: str) -> tuple[Flags, Flags]:
    """For each append: whether its list was read on a member at the end, and whether it was there."""
    reads, appends, elements = lists.reads, lists.appends, lists.elements
    own = np.flatnonzero(history.final[reads.row] & (history.member[reads.row] == place(history, member)))
    keys, last = last_of(reads.key[own])
    final: Integers = np.full(len(lists.keys), -1)
    final[keys] = own[last]
    of_append = final[appends.key]
    audited = of_append >= 0
    present = np.zeros(len(appends.row), np.bool_)
    plain = np.flatnonzero(audited)
    plain = plain[reads.compatible[of_append[plain]]]
    where = lists.position[plain]
    present[plain] = (where >= 0) & (where < reads.length[of_append[plain]])
    odd = np.isin(elements.read, final[(final >= 0)]) & ~reads.compatible[elements.read] & (elements.append >= 0)
    present[elements.append[odd]] = True
    return audited, present


def _tell_lost(lists: Lists, missing: Integers, member: str, teller: Teller, found: Findings) -> None:
    if len(missing):
        row, key, value = (int(column[missing[0]]) for column in (lists.appends.row, lists.appends.key,
                                                                  lists.appends.value))
        said = f"{value} is missing from list {lists.keys[key]} on {member} at the end"
        found.add(Kind.LOST, len(missing), teller.witness(said, row))
