"""What transactions on lists show together: cycles of dependencies, lost updates, and stale reads."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from drainproof.record import History
from reports.consistency.cycles import Cycle, Edge, cycles
from reports.consistency.findings import Findings, Integers, Kind, Teller
from reports.consistency.graph import dependencies, external, lost_updates
from reports.consistency.lists import Lists, Reads

WRITTEN = frozenset((Edge.WW,))
INFORMED = frozenset((Edge.WW, Edge.WR))
NEVER = np.iinfo(np.int64).max


def find(history: History, lists: Lists, teller: Teller, found: Findings) -> None:
    """Look for G0, G1c, G-single, G2-item, lost updates and stale reads."""
    reads = lists.reads.where(external(history, lists))
    _cycles(history, lists, reads, teller, found)
    _overtaken(lists, reads, teller, found)
    _stale(history, lists, reads, teller, found)


def _cycles(history: History, lists: Lists, reads: Reads, teller: Teller, found: Findings) -> None:
    """Cycles by kind: one a strongly connected component, the shortest of all as the witness."""
    edges, nodes = dependencies(history, lists, reads), len(history)
    single = dict(cycles(edges, nodes, INFORMED, Edge.RW))
    several = {label: cycle for label, cycle in cycles(edges, nodes, frozenset(Edge), Edge.RW) if label not in single}
    for kind, of_kind in (
        (Kind.G0, dict(cycles(edges, nodes, WRITTEN, Edge.WW))),
        (Kind.G1C, dict(cycles(edges, nodes, INFORMED, Edge.WR))),
        (Kind.G_SINGLE, single),
        (Kind.G2_ITEM, several),
    ):
        if of_kind:
            shortest = min(of_kind.values(), key=lambda cycle: (len(cycle.nodes), cycle.nodes))
            found.add(kind, len(of_kind), teller.witness(_round(shortest, lists, teller), *shortest.nodes))


def _round(cycle: Cycle, lists: Lists, teller: Teller) -> str:
    """A cycle in words: op 3 -wr on list 7-> op 9 ..."""
    words = [f"op {teller.op(cycle.nodes[0])}"]
    for kind, key, node in zip(cycle.kinds, cycle.keys, (*cycle.nodes[1:], cycle.nodes[0]), strict=True):
        words.append(f"-{kind.name.lower()} on list {lists.keys[key]}-> op {teller.op(node)}")
    return " ".join(words)


def _overtaken(lists: Lists, reads: Reads, teller: Teller, found: Findings) -> None:
    lost = np.flatnonzero(lost_updates(lists, reads))
    if len(lost):
        other = _rows(lists, lists.at(reads.key[lost[:1]], reads.length[lost[:1]]))
        row, name = int(reads.row[lost[0]]), f"list {lists.keys[reads.key[lost[0]]]}"
        said = f"op {teller.op(row)} read {name} and appended to it, and another had appended in between"
        found.add(Kind.LOST_UPDATE, len(lost), teller.witness(said, row, *other))


def _stale(history: History, lists: Lists, reads: Reads, teller: Teller, found: Findings) -> None:
    """Reads that lack what had been acknowledged before their transaction began."""
    ends = np.where(history.acknowledged, history.end_ns, NEVER)[lists.appends.row]
    missed = _earliest_beyond(lists, ends, reads)
    late = missed >= 0
    late[late] = ends[missed[late]] < history.start_ns[reads.row[late]]
    sync = history.sync[reads.row]
    for kind, stale in ((Kind.STALE_SYNC, np.flatnonzero(late & sync)), (Kind.STALE, np.flatnonzero(late & ~sync))):
        if len(stale):
            row, (writer,) = int(reads.row[stale[0]]), _rows(lists, missed[stale[:1]])
            said = (
                f"op {teller.op(row)} did not see in list {lists.keys[reads.key[stale[0]]]} what op"
                f" {teller.op(writer)} had been told was written"
            )
            found.add(kind, len(stale), teller.witness(said, writer, row))


def _earliest_beyond(lists: Lists, ends: Integers, reads: Reads) -> Integers:
    """For each read the append that ended first of all those that it did not see; -1 if it saw all of the order."""
    order = lists.order
    if not len(order):
        return np.full(len(reads), -1)
    # Ranked by end within its list, and lists far apart: one running minimum from behind serves all lists.
    sorted_ends = np.argsort(np.where(order >= 0, ends[order], NEVER), kind="stable")
    ranks = np.empty(len(order), np.int64)
    ranks[sorted_ends] = np.arange(len(order))
    keys = np.repeat(np.arange(len(lists.keys)), lists.length())
    running = np.minimum.accumulate((ranks + keys * len(order))[::-1])[::-1]
    beyond = reads.length < lists.length()[reads.key]
    places = np.where(beyond, lists.begins[reads.key] + reads.length, 0)
    earliest = order[sorted_ends[running[places] - keys[places] * len(order)]]
    return np.where(beyond, earliest, -1)


def _rows(lists: Lists, appends: Iterable[int]) -> list[int]:
    return [int(lists.appends.row[append]) for append in appends]
