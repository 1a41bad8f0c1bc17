"""The running figures of streams, taken from the spools with NumPy only when somebody asks: samples cost nothing more.

They are true to the instant at which they are asked for. What a stream was asked and has not ended is looked at again
until it has ended, or is given up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from drainproof.gaps import LongestGap
from drainproof.record import Outcome
from drainproof.record.shards import give_up
from drainproof.record.spool import Rows, Spool
from drainproof.streams import AWAY, Stream
from load.schedule import SECOND

BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)
"""Upper bounds of the exported durations, in seconds."""
_BUCKETS_NS = np.array([round(bound * SECOND) for bound in BUCKETS], np.int64)

Numbers = npt.NDArray[np.int64]


class StreamFigures:
    """The running figures of one stream."""

    def __init__(self, name: str, begun_ns: int) -> None:
        self.name = name
        self.gap = LongestGap(begun_ns)
        self.outcomes: Numbers = np.zeros(len(Outcome), np.int64)
        self.buckets: Numbers = np.zeros(len(BUCKETS) + 1, np.int64)
        self.total_ns = 0
        """The lengths of all operations together."""

    @property
    def operations(self) -> int:
        return int(self.outcomes.sum())

    @property
    def failures(self) -> int:
        return self.operations - int(self.outcomes[Outcome.OK])


class Figures:
    """The running figures of all streams of some spools; `upto` brings them up to date and holds them still."""

    def __init__(self, spools: Sequence[Spool], begun_ns: int, limit_ns: int, settle_ns: int) -> None:
        self._scans = [_Scan(spool, begun_ns, limit_ns, settle_ns) for spool in spools]
        every = [figures for scan in self._scans for figures in scan.streams]
        self.streams = [figures for figures in every if Stream.of(figures.name).kind != AWAY]
        self._away = [figures for figures in every if Stream.of(figures.name).kind == AWAY]
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def upto(self, now_ns: int) -> Iterator[Sequence[StreamFigures]]:
        """The figures of every stream of operations with all that has ended so far; they stay so within the block.

        Raises RecordError when a spool has overwritten rows that were not counted yet.
        """
        with self._one_at_a_time:
            for scan in self._scans:
                scan.run(now_ns)
            yield self.streams

    def void_ns(self) -> dict[str, int]:
        """By stream: how long the observer itself was away from its vantage point; not for those it cannot tell of."""
        away: dict[str, int] = {}
        for figures in self._away:
            vantage = Stream.of(figures.name).vantage
            away[vantage] = away.get(vantage, 0) + figures.total_ns
        vantages = {figures.name: Stream.of(figures.name).vantage for figures in self.streams}
        return {name: away[vantage] for name, vantage in vantages.items() if vantage in away}


class _Scan:
    """What was counted so far of one spool, and the figures of its streams by number."""

    def __init__(self, spool: Spool, begun_ns: int, limit_ns: int, settle_ns: int) -> None:
        self.streams = [StreamFigures(name, begun_ns) for name in spool.streams]
        self._spool = spool
        self._limit_ns = limit_ns
        self._settle_ns = settle_ns
        self._first_slot = 0
        self._left = np.zeros(0, np.bool_)
        """For each slot seen from the first that is still pending on: whether it is."""

    def run(self, now_ns: int) -> None:
        """Count every row that has ended since, or is given up."""
        rows = self._spool.rows(self._first_slot, self._spool.written)
        pending = give_up(rows, now_ns - self._settle_ns, self._limit_ns)
        ended = ~pending
        ended[: len(self._left)] &= self._left
        if ended.any():
            self._count(rows[ended])
        behind = int(pending.argmax()) if pending.any() else len(rows)
        self._first_slot += behind
        self._left = pending[behind:]

    def _count(self, rows: Rows) -> None:
        count = len(self.streams)
        stream = rows["stream"].astype(np.intp)
        lengths = rows["end"] - rows["start"]
        outcomes = _table(stream, rows["outcome"], (count, len(Outcome)))
        buckets = _table(stream, np.searchsorted(_BUCKETS_NS, lengths), (count, len(BUCKETS) + 1))
        totals = np.bincount(stream, lengths, count)
        good = rows["outcome"] == Outcome.OK
        order = np.lexsort((rows["end"][good], stream[good]))
        answers, whose = rows["end"][good][order], stream[good][order]
        edges = np.searchsorted(whose, np.arange(count + 1))
        for number, figures in enumerate(self.streams):
            figures.outcomes += outcomes[number]
            figures.buckets += buckets[number]
            figures.total_ns += round(totals[number])
            figures.gap.successes(answers[edges[number] : edges[number + 1]])


def _table(stream: npt.NDArray[np.intp], column: npt.NDArray[np.integer], shape: tuple[int, int]) -> Numbers:
    """How many rows there are by stream and column."""
    cells = np.bincount(stream * shape[1] + column, minlength=shape[0] * shape[1])
    return cells.reshape(shape).astype(np.int64)
