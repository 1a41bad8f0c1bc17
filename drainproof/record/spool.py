"""The spool: a ring of fixed-size samples in shared memory, so that keeping one costs a stopwatch well below 1 us.

A row is written in place and never becomes a Python object. Whoever shares the memory reads the rows as one NumPy
array; `drainproof.record.shards` takes them to disk.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from drainproof.errors import RecordError

NO_KEY: Final = -1
PENDING: Final = 255
"""The outcome of an operation that was begun and has not ended."""
LATE_MOST: Final = 2**32 - 1
HEADER_BYTES: Final = 4096
_COUNT_AT: Final = HEADER_BYTES
ROWS_AT: Final = 2 * HEADER_BYTES
_PLAIN: Final = struct.Struct("<qqIHBB")
_KEYED: Final = struct.Struct("<qqIHBBq")
_END: Final = struct.Struct("<q")
_END_AT: Final = 8
_OUTCOME_AT: Final = 22

PLAIN_ROW = np.dtype(
    [("start", "<i8"), ("end", "<i8"), ("late", "<u4"), ("stream", "<u2"), ("outcome", "u1"), ("flags", "u1")]
)
"""24 bytes: sent and ended in monotonic ns (0: pending), how late it was sent in ns, stream number, outcome."""
KEYED_ROW = np.dtype([*((name, PLAIN_ROW[name].str) for name in PLAIN_ROW.names or ()), ("key", "<i8")])
"""The same and a key: 32 bytes."""

Rows = npt.NDArray[Any]


def header(streams: Sequence[str], *, keyed: bool) -> bytes:
    """The first bytes of a spool's memory and of its shard: its streams by number, as one padded line of JSON.

    Raises RecordError when the streams' names do not fit.
    """
    line = json.dumps({"version": 1, "keyed": keyed, "streams": list(streams)}).encode()
    if len(line) >= HEADER_BYTES:
        raise RecordError(f"{len(streams)} streams are too many for one spool: their names need {len(line)} bytes")
    return line.ljust(HEADER_BYTES - 1) + b"\n"


def read_header(first: bytes) -> tuple[tuple[str, ...], bool]:
    """The streams by number and whether rows have a key; raises RecordError when that is no header."""
    try:
        content = json.loads(first[:HEADER_BYTES])
        if content["version"] != 1:
            raise RecordError(f"spool version {content['version']} is not known; version 1 is")
        return tuple(str(name) for name in content["streams"]), bool(content["keyed"])
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"does not begin with the header of a spool: {error}") from error


class Spool:
    """One writer's ring of samples. Not thread-safe for writing; any number may read what was written."""

    def __init__(self, fd: int, streams: Sequence[str], *, keyed: bool, capacity: int) -> None:
        self.fd = fd
        self.streams = tuple(streams)
        self.keyed = keyed
        self.capacity = capacity
        self.dtype = KEYED_ROW if keyed else PLAIN_ROW
        self._size = self.dtype.itemsize
        self._mask = capacity - 1
        self._memory = mmap.mmap(fd, ROWS_AT + capacity * self._size)
        self._rows: Rows = np.frombuffer(self._memory, self.dtype, capacity, ROWS_AT)
        # One aligned store of eight bytes: `struct` zeroes its buffer first, and a reader, or a kill, would find that.
        self._count = memoryview(self._memory)[_COUNT_AT : _COUNT_AT + 8].cast("Q")
        self._written: int = self._count[0]

    @classmethod
    def create(cls, streams: Sequence[str], *, keyed: bool = False, capacity: int = 1 << 18) -> Spool:
        """A new spool of `capacity` rows (a power of two) in anonymous memory that children may inherit by `fd`."""
        if capacity < 2 or capacity & (capacity - 1):
            raise ValueError(f"a spool's capacity must be a power of two, not {capacity}")
        first = header(streams, keyed=keyed)
        fd = os.memfd_create("spool")
        size = ROWS_AT + capacity * (KEYED_ROW if keyed else PLAIN_ROW).itemsize
        os.posix_fallocate(fd, 0, size)
        os.pwrite(fd, first, 0)
        spool = cls(fd, streams, keyed=keyed, capacity=capacity)
        spool._rows.view(np.uint8)[:: mmap.PAGESIZE] = 0  # mapped now, so that no first write waits for a page
        return spool

    @classmethod
    def open(cls, fd: int) -> Spool:
        """The same memory in another process; raises RecordError when the descriptor is no spool."""
        streams, keyed = read_header(os.pread(fd, HEADER_BYTES, 0))
        capacity = (os.fstat(fd).st_size - ROWS_AT) // (KEYED_ROW if keyed else PLAIN_ROW).itemsize
        return cls(fd, streams, keyed=keyed, capacity=capacity)

    @property
    def written(self) -> int:
        """How many rows were begun so far, by whichever process writes."""
        return self._count[0]

    def append(
        self, stream: int, intended_ns: int, start_ns: int, end_ns: int, outcome: int, key: int = NO_KEY
    ) -> int:
        """One operation, finished (or pending); returns its slot, which counts up for ever."""
        slot = self._written
        late = start_ns - intended_ns
        if late > LATE_MOST:
            late = LATE_MOST
        where = ROWS_AT + (slot & self._mask) * self._size
        if self.keyed:
            _KEYED.pack_into(self._memory, where, start_ns, end_ns, late, stream, outcome, 0, key)
        else:
            _PLAIN.pack_into(self._memory, where, start_ns, end_ns, late, stream, outcome, 0)
        self._written = slot + 1
        self._count[0] = slot + 1
        return slot

    def begin(self, stream: int, intended_ns: int, start_ns: int, key: int = NO_KEY) -> int:
        """One operation that was sent and has not ended; returns its slot."""
        return self.append(stream, intended_ns, start_ns, 0, PENDING, key)

    def finish(self, slot: int, end_ns: int, outcome: int) -> bool:
        """The end of an operation that was begun; False when it had ended before, or the ring has gone past it."""
        if not 0 <= self._written - slot - 1 < self.capacity:
            return False
        where = ROWS_AT + (slot & self._mask) * self._size
        if self._memory[where + _OUTCOME_AT] != PENDING:
            return False
        _END.pack_into(self._memory, where + _END_AT, end_ns)
        self._memory[where + _OUTCOME_AT] = outcome
        return True

    def rows(self, first: int, last: int) -> Rows:
        """A copy of the rows with slots from `first` up to and without `last`.

        Raises RecordError when the ring has gone past the first of them.
        """
        if last - first > self.capacity:
            raise RecordError(f"{last - first} samples were not taken from a spool of {self.capacity} in time")
        where = np.arange(first, last) & self._mask
        found: Rows = self._rows[where]
        if self.written - first > self.capacity:
            raise RecordError("samples were overwritten in their spool before they were taken")
        return found

    def close(self) -> None:
        """Let go of the memory and of the descriptor."""
        del self._rows
        self._count.release()
        self._memory.close()
        os.close(self.fd)
