"""The running figures are those of a slow count over the same operations, whenever and however often one looks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drainproof.errors import RecordError
from drainproof.gaps import longest_gap
from drainproof.record import Outcome, Samples
from drainproof.record.spool import PENDING, Spool
from load.figures import BUCKETS, Figures, StreamFigures
from tests.unit.load.rows import rows_of

STREAMS = ("udp/a", "tcp-new/vip", "udp/a@node-1")
MS = 1_000_000
LIMIT, SETTLE = 50 * MS, 200 * MS
BEGUN = 1
Operation = tuple[int, int, int, int | None, Outcome]
"""Stream, sent, late, length (None: never answered), outcome; all in steps of 0.1 ms but the stream."""

operations = st.lists(
    st.tuples(
        st.integers(0, len(STREAMS) - 1), st.integers(1, 8_000), st.integers(0, 50),
        st.one_of(st.none(), st.integers(0, 3_000)), st.sampled_from(list(Outcome)),
    ),
    max_size=60,
)


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool.create(STREAMS, capacity=8)
    yield spool
    spool.close()


def figures_at(figures: Figures, now_ns: int) -> list[StreamFigures]:
    with figures.upto(now_ns) as streams:
        return list(streams)


def live(spool: Spool, made: list[Operation]) -> Iterator[int]:
    """Write the operations as they would happen; the instant of each change, after it was made."""
    step = MS // 10
    slots: dict[int, int] = {}
    ordered = sorted(made, key=lambda operation: operation[1])
    begins = [(sent, 0, number) for number, (_, sent, _, _, _) in enumerate(ordered)]
    ends = [
        (sent + length, 1, number) for number, (_, sent, _, length, _) in enumerate(ordered) if length is not None
    ]
    for when, what, number in sorted(begins + ends):
        stream, sent, late, _, outcome = ordered[number]
        if what == 0:
            slots[number] = spool.begin(stream, (sent - late) * step, sent * step)
        else:
            spool.finish(slots[number], when * step, outcome)
        yield when * step


def reference(rows: list[tuple[int, ...]], stream: int, now_ns: int) -> dict[str, object]:
    """What the figures of a stream must be, counted row by row."""
    ended = []
    for row_stream, _, start, end, outcome in rows:
        if outcome == PENDING and start <= now_ns - SETTLE:
            ended.append((row_stream, start, start + LIMIT, int(Outcome.TIMEOUT)))
        elif outcome != PENDING:
            ended.append((row_stream, start, end, outcome))
    mine = [row for row in ended if row[0] == stream]
    return {
        "outcomes": [sum(row[3] == outcome for row in mine) for outcome in Outcome],
        "buckets": [
            sum(bisect_left(BUCKETS, (end - start) / 1e9) == bucket for _, start, end, _ in mine)
            for bucket in range(len(BUCKETS) + 1)
        ],
        "total": sum(end - start for _, start, end, _ in mine),
        "gap": longest(sorted(end for _, _, end, outcome in mine if outcome == Outcome.OK), now_ns),
    }


def longest(answers: list[int], now_ns: int) -> tuple[int, int]:
    if not answers:
        return now_ns - BEGUN, now_ns - BEGUN
    edges = [*answers, now_ns]
    return max(later - earlier for earlier, later in pairwise(edges)), now_ns - answers[-1]


def seen(figures: StreamFigures, now_ns: int) -> dict[str, object]:
    return {
        "outcomes": figures.outcomes.tolist(),
        "buckets": figures.buckets.tolist(),
        "total": figures.total_ns,
        "gap": (figures.gap.longest_ns(now_ns), figures.gap.current_ns(now_ns)),
    }


@given(operations, st.integers(1, 20))
def test_they_equal_a_slow_count_at_every_look(made: list[Operation], every: int) -> None:
    # The count looks once, at the end: it cannot tell an answer that came after its operation was given up.
    made = [(*one[:3], None if one[3] is not None and one[3] * MS // 10 > SETTLE else one[3], one[4]) for one in made]
    spool = Spool.create(STREAMS, capacity=64)
    figures = Figures([spool], BEGUN, LIMIT, SETTLE)
    try:
        now = BEGUN
        for change, now in enumerate(live(spool, made)):
            if change % every == 0:
                figures_at(figures, now)
        for look in (now, now + SETTLE):
            found = figures_at(figures, look)
            for stream in range(len(STREAMS)):
                assert seen(found[stream], look) == reference(rows_of(spool), stream, look)
    finally:
        spool.close()


@given(operations)
def test_the_longest_gap_is_that_of_the_stored_samples(made: list[Operation]) -> None:
    spool = Spool.create(STREAMS, capacity=64)
    figures = Figures([spool], BEGUN, LIMIT, 10**15)
    try:
        for now in live(spool, made):
            found = figures_at(figures, now)
        rows = spool.rows(0, spool.written)
        rows = rows[rows["outcome"] == Outcome.OK]
        for number, name in enumerate(STREAMS):
            mine = rows[rows["stream"] == number]
            if len(mine):
                samples = Samples(
                    name, mine["start"], mine["start"], mine["end"], mine["outcome"].astype("i1"), mine["start"]
                )
                window = int(mine["end"].min()), now
                assert found[number].gap.longest_ns(now) == longest_gap(samples, window).length_ns
    finally:
        spool.close()


def test_a_late_answer_counts_as_late_and_one_after_settling_changes_nothing(spool: Spool) -> None:
    figures = Figures([spool], BEGUN, LIMIT, SETTLE)
    late, lost = spool.begin(0, MS, MS), spool.begin(0, MS, MS)
    assert figures_at(figures, MS + LIMIT)[0].operations == 0
    spool.finish(late, 100 * MS, Outcome.LATE)
    assert figures_at(figures, MS + SETTLE)[0].outcomes[Outcome.LATE] == 1
    spool.finish(lost, 2 * SETTLE, Outcome.LATE)
    (figures_of_a, *_) = figures_at(figures, 3 * SETTLE)
    assert figures_of_a.outcomes.tolist() == [0, 0, 1, 0, 1]
    assert figures_of_a.failures == 2
    assert figures_of_a.total_ns == 99 * MS + LIMIT


def test_times_away_are_no_operations_but_void_for_their_vantage_only() -> None:
    inside = Spool.create(["udp/a", "tcp-new/vip", "away/client"], capacity=8)
    node = Spool.create(["udp/a@node-1", "away/client@node-1"], capacity=8)
    clinic = Spool.create(["http-new/a@node-2"], capacity=8)
    figures = Figures([inside, node, clinic], BEGUN, LIMIT, SETTLE)
    for start, end in ((1, 4), (6, 7)):
        inside.append(2, start * MS, start * MS, end * MS, Outcome.OK)
    node.append(1, MS, MS, 11 * MS, Outcome.OK)
    found = figures_at(figures, 20 * MS)
    assert {one.name: one.operations for one in found} == dict.fromkeys(
        ["udp/a", "tcp-new/vip", "udp/a@node-1", "http-new/a@node-2"], 0
    )
    assert figures.void_ns() == {"udp/a": 4 * MS, "tcp-new/vip": 4 * MS, "udp/a@node-1": 10 * MS}
    for spool in (inside, node, clinic):
        spool.close()


def test_what_was_overwritten_uncounted_is_an_error(spool: Spool) -> None:
    figures = Figures([spool], BEGUN, LIMIT, SETTLE)
    for number in range(9):
        spool.append(0, number + 1, number + 1, number + 2, Outcome.OK)
    with pytest.raises(RecordError, match="not taken from a spool of 8 in time"):
        figures_at(figures, MS)
