"""Cycles in a graph of dependencies: strongly connected components in linear time, then the shortest cycle in each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from reports.consistency.findings import Flags, Integers

VISITS: Final = 2_000_000
"""How many edges are walked for the witness of one component; the shortest cycle found until then is told.

A cycle that accuses is never given up: where it is closed by an edge of its path's own kinds, the component itself
proves it, and the first search, which goes to its end, finds it. One closed by an anti-dependency only informs.
"""


class Edge(IntEnum):
    """Why one transaction comes before another."""

    WW = 0
    """It wrote a version, the other wrote the next."""
    WR = 1
    """It wrote the version that the other read."""
    RW = 2
    """It read a version, the other wrote the next."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Dependencies between transactions, as columns; none leads from a transaction to itself."""

    source: Integers
    target: Integers
    kind: npt.NDArray[np.int8]
    key: Integers

    def __len__(self) -> int:
        return len(self.source)

    def where(self, rows: Flags | Integers) -> Edges:
        return Edges(self.source[rows], self.target[rows], self.kind[rows], self.key[rows])

    def of(self, kinds: Iterable[Edge]) -> Edges:
        return self.where(np.isin(self.kind, [*kinds]))


@dataclass(frozen=True, slots=True)
class Cycle:
    """Transactions in a circle: the edge i leads from the transaction i to the next."""

    nodes: tuple[int, ...]
    kinds: tuple[Edge, ...]
    keys: tuple[int, ...]


def cycles(edges: Edges, nodes: int, path: frozenset[Edge], closing: Edge) -> Iterator[tuple[int, Cycle]]:
    """One cycle of `path` edges and a last `closing` edge from each component that has one, with the component."""
    graph = edges.of(path | {closing})
    labels = _components(graph, nodes)
    inside = graph.where(labels[graph.source] == labels[graph.target])
    paths = _Paths(inside.of(path), nodes)
    closers = inside.of([closing])
    order = np.lexsort((closers.target, labels[closers.target]))
    for group in np.split(order, np.flatnonzero(np.diff(labels[closers.target[order]])) + 1):
        if len(group) and (found := _shortest(paths, closers.where(group))):
            yield int(labels[found.nodes[0]]), found


def _components(edges: Edges, nodes: int) -> npt.NDArray[np.int32]:
    weights = np.ones(len(edges), np.int8)
    matrix = csr_array((weights, (edges.source, edges.target)), shape=(nodes, nodes))
    labels: npt.NDArray[np.int32] = connected_components(matrix, connection="strong")[1]
    return labels


class _Paths:
    """Shortest paths along edges, from one node to any of several."""

    def __init__(self, edges: Edges, nodes: int) -> None:
        self._edges = edges.where(np.argsort(edges.source, kind="stable"))
        self._begins = np.concatenate(([0], np.cumsum(np.bincount(self._edges.source, minlength=nodes))))
        self.nodes = nodes
        self.visits = 0

    def find(self, start: int, goals: frozenset[int], longest: int, *, patient: bool) -> list[int]:
        """The edges of a shortest path, of at most so many; none if there is no such path, or patience ended."""
        came: dict[int, int] = {start: -1}
        level = [start]
        for _ in range(longest):
            reached: list[int] = []
            for node in level:
                first, last = int(self._begins[node]), int(self._begins[node + 1])
                self.visits += last - first
                for edge, target in enumerate(self._edges.target[first:last].tolist(), first):
                    if target not in came:
                        came[target] = edge
                        if target in goals:
                            return self._back(target, came)
                        reached.append(target)
            level = reached
            if not level or (self.visits > VISITS and not patient):
                break
        return []

    def close(self, path: list[int], closing: Edges, row: int) -> Cycle:
        """The cycle of a path and the edge that closes it."""
        edges = self._edges.where(np.array(path))
        return Cycle(
            (*edges.source.tolist(), int(closing.source[row])),
            (*map(Edge, edges.kind.tolist()), Edge(int(closing.kind[row]))),
            (*edges.key.tolist(), int(closing.key[row])),
        )

    def target_of(self, edge: int) -> int:
        return int(self._edges.target[edge])

    def _back(self, node: int, came: dict[int, int]) -> list[int]:
        path = []
        while (edge := came[node]) >= 0:
            path.append(edge)
            node = int(self._edges.source[edge])
        return path[::-1]


def _shortest(paths: _Paths, closing: Edges) -> Cycle | None:
    """The shortest cycle of a component that ends with one of these edges, which are sorted by target."""
    paths.visits = 0
    best: Cycle | None = None
    for rows in np.split(np.arange(len(closing)), np.flatnonzero(np.diff(closing.target)) + 1):
        sources = dict(zip(closing.source[rows].tolist(), rows.tolist(), strict=True))
        longest = len(best.nodes) - 2 if best else paths.nodes
        goals, accuses = frozenset(sources), int(closing.kind[0]) != Edge.RW
        path = paths.find(int(closing.target[rows[0]]), goals, longest, patient=accuses and best is None)
        if path:
            best = paths.close(path, closing, sources[paths.target_of(path[-1])])
        if paths.visits > VISITS or (best and len(best.nodes) == 2):
            break
    return best
