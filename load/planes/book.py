"""The book of one loop: what it has sent, written to its spool, and whether an answer came in time."""

from __future__ import annotations

from array import array

import numpy as np

from drainproof.record import Outcome
from drainproof.record.spool import PENDING, Spool

_OK, _LATE = int(Outcome.OK), int(Outcome.LATE)


class Book:
    """Begins and ends operations in a spool; remembers when each began as long as the spool remembers it."""

    def __init__(self, spool: Spool, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self.append = spool.append
        self.end = spool.finish
        self._spool = spool
        self._mask = spool.capacity - 1
        self._started = array("q", bytes(8 * spool.capacity))

    def begin(self, stream: int, due_ns: int, start_ns: int) -> int:
        """An operation is sent now; returns the number that its answer will carry."""
        slot = self.append(stream, due_ns, start_ns, 0, PENDING)
        self._started[slot & self._mask] = start_ns
        return slot

    def answer(self, slot: int, arrival_ns: int, now_ns: int) -> bool:
        """The answer to an operation has arrived; False when it is not one that is waited for.

        An arrival before the start is no time at all, but a wall clock that was set meanwhile: now counts instead.
        """
        start = self._started[slot & self._mask]
        if arrival_ns < start:
            arrival_ns = now_ns
        return self.end(slot, arrival_ns, _LATE if arrival_ns - start > self.limit_ns else _OK)

    def first_since(self, start_ns: int) -> int:
        """The number of the first operation in the newer half of the spool that began after an instant."""
        written = self._spool.written
        first = max(0, written - self._spool.capacity // 2)
        return first + int(np.searchsorted(self._spool.rows(first, written)["start"], start_ns))

    def waits(self, first: int) -> bool:
        """Whether any operation from this number on has not ended."""
        return bool((self._spool.rows(first, self._spool.written)["outcome"] == PENDING).any())
