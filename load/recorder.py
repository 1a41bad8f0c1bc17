"""What an observer has seen so far: its samples in spools, their running figures, and its own stalls, all in memory.

Observing threads only append here; a background thread takes the samples to disk, so no probe waits for one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from drainproof.record import Outcome
from drainproof.record.spool import NO_KEY, Spool
from load.figures import Figures
from load.schedule import Stall

FAILURES_TOLD = 50
"""Failures per stream that become events; all of them are samples."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One operation that did not succeed, in words."""

    t_ns: int
    stream: str
    outcome: Outcome
    reason: str
    key: int


class Recorder:
    """Collects what an observer sees; `failures` and `stalls` wait there until they are taken to disk.

    Operations that were begun in a spool and have not ended become timeouts at `limit_ns` once they are older than
    `settle_ns`.
    """

    def __init__(self, spools: Sequence[Spool], now_ns: int, limit_ns: int = 0, settle_ns: int = 0) -> None:
        self.spools = tuple(spools)
        self.figures = Figures(self.spools, now_ns, limit_ns, settle_ns)
        self.failures: deque[Failure] = deque()
        self.stalls: deque[Stall] = deque()
        self.stall_seconds = 0.0
        self.worst_lateness_ns = 0
        self.one_at_a_time = threading.Lock()
        """To be held around `done` by an observer that writes from several threads; a spool has one writer."""
        self._told = {name: 0 for spool in self.spools for name in spool.streams}

    def done(
        self, stream: int, intended_ns: int, start_ns: int, end_ns: int, outcome: Outcome, *, key: int = NO_KEY,
        reason: str = "",
    ) -> None:
        """An operation of an observer with one spool has ended; `stream` is its number, times are monotonic ns."""
        spool = self.spools[0]
        spool.append(stream, intended_ns, start_ns, end_ns, outcome, key)
        if outcome != Outcome.OK:
            self.failed(spool.streams[stream], end_ns, outcome, reason, key)

    def failed(self, stream: str, end_ns: int, outcome: Outcome, reason: str, key: int = NO_KEY) -> None:
        """Keep for the event log why an operation failed that is in a spool already, unless enough was told."""
        if self._told[stream] < FAILURES_TOLD:
            self._told[stream] += 1
            self.failures.append(Failure(end_ns, stream, outcome, reason, key))

    def lateness(self, worst_ns: int, stall: Stall | None) -> None:
        """How late the observer itself has been at worst, and the stall that has just ended, if any."""
        self.worst_lateness_ns = max(self.worst_lateness_ns, worst_ns)
        if stall is not None:
            self.stall_seconds += (stall.end_ns - stall.start_ns) / 1e9
            self.stalls.append(stall)
