"""The cycles that are found are real, and the shortest there are."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.consistency.cycles import Edge, Edges, cycles

NODES = 7
PATH, CLOSING = frozenset((Edge.WW, Edge.WR)), Edge.RW
Graph = set[tuple[int, int, Edge]]
graphs = st.sets(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.sampled_from(Edge)).filter(
        lambda edge: edge[0] != edge[1]
    ),
    max_size=16,
)


def edges_of(graph: Graph) -> Edges:
    rows = sorted(graph)
    columns = [np.array([row[place] for row in rows], np.int64) for place in range(3)]
    return Edges(columns[0], columns[1], columns[2].astype(np.int8), np.zeros(len(rows), np.int64))


def distance(graph: Graph, start: int, goal: int) -> int | None:
    """How many path edges lead from one node to another at least, by trying them all."""
    reached, steps = {start}, 0
    while goal not in reached:
        more = reached | {b for a, b, kind in graph if a in reached and kind in PATH}
        if more == reached:
            return None
        reached, steps = more, steps + 1
    return steps


@settings(max_examples=300, deadline=None)
@given(graphs)
def test_cycles_are_real_and_the_shortest(graph: Graph) -> None:
    """Each edge of a cycle is there, only the last is closing, and no other of all components is shorter."""
    found = dict(cycles(edges_of(graph), NODES, PATH, CLOSING))
    for cycle in found.values():
        around = zip(cycle.nodes, (*cycle.nodes[1:], cycle.nodes[0]), cycle.kinds, strict=True)
        assert set(around) <= graph
        assert [kind is CLOSING for kind in cycle.kinds] == [False] * (len(cycle.kinds) - 1) + [True]
    lengths = [
        1 + steps for a, b, kind in graph if kind is CLOSING and (steps := distance(graph, b, a)) is not None
    ]
    assert min((len(cycle.nodes) for cycle in found.values()), default=0) == min(lengths, default=0)


def test_each_component_is_told_once() -> None:
    """Two circles that do not touch are two anomalies."""
    graph = {(0, 1, Edge.WW), (1, 0, Edge.RW), (2, 3, Edge.WW), (3, 4, Edge.WR), (4, 2, Edge.RW), (1, 2, Edge.WW)}
    found = cycles(edges_of(graph), NODES, PATH, CLOSING)
    assert sorted(len(cycle.nodes) for _, cycle in found) == [2, 3]


def test_a_long_circle_is_found_in_passing() -> None:
    """Its length is no reason to give up: each edge is walked once."""
    count = 20_000
    nodes = np.arange(count)
    kinds = np.full(count, Edge.WW, np.int8)
    kinds[-1] = Edge.RW
    edges = Edges(nodes, (nodes + 1) % count, kinds, nodes * 0)
    ((_, cycle),) = cycles(edges, count, PATH, CLOSING)
    assert len(cycle.nodes) == count
