"""Shards: what a spool held, on disk while its observer runs, readable up to its last whole row after any kill."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from drainproof.errors import RecordError
from drainproof.record.samples import Outcome
from drainproof.record.spool import HEADER_BYTES, KEYED_ROW, PENDING, PLAIN_ROW, Rows, Spool, header, read_header

SHARD_SUFFIX: Final = ".spool"


def give_up(rows: Rows, sent_until_ns: int, limit_ns: int) -> npt.NDArray[np.bool_]:
    """Turn those of the pending rows that were sent until then into timeouts, in place; which are pending still."""
    # An end of 0 beside an outcome is a row that was copied while its writer finished it.
    pending: npt.NDArray[np.bool_] = (rows["outcome"] == PENDING) | (rows["end"] == 0)
    overdue = pending & (rows["start"] <= sent_until_ns)
    rows["end"][overdue] = rows["start"][overdue] + limit_ns
    rows["outcome"][overdue] = Outcome.TIMEOUT
    return pending & ~overdue


class ShardWriter:
    """Takes the rows of one spool to its shard, in their order; one that is pending holds back those after it.

    A row that is pending for longer than `settle_ns` is a timeout at its `limit_ns`.
    """

    def __init__(self, path: Path, spool: Spool, limit_ns: int, settle_ns: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written = 0
        self.left_out = 0
        """Rows that were still within their limit at the close: nobody knows how they would have ended."""
        self._spool = spool
        self._limit_ns = limit_ns
        self._settle_ns = settle_ns
        self._next_slot = 0
        self._file = path.open("xb")
        self._file.write(header(spool.streams, keyed=spool.keyed))
        self._file.flush()

    def drain(self, now_ns: int) -> int:
        """Write every row before the first that is neither finished nor settled; how many rows are written so far.

        Raises RecordError when the spool has overwritten rows that were not taken from it.
        """
        rows = self._spool.rows(self._next_slot, self._spool.written)
        pending = give_up(rows, now_ns - self._settle_ns, self._limit_ns)
        return self._append(rows[: int(pending.argmax())] if pending.any() else rows)

    def close(self, now_ns: int) -> int:
        """Write all that is left but the rows whose limit has not passed, and close the shard."""
        try:
            rows = self._spool.rows(self._next_slot, self._spool.written)
            pending = give_up(rows, now_ns - self._limit_ns, self._limit_ns)
            self.left_out = int(pending.sum())
            return self._append(rows[~pending])
        finally:
            self._file.close()

    def _append(self, rows: Rows) -> int:
        self._file.write(rows.tobytes())
        self._file.flush()
        self._next_slot += len(rows)
        self.written += len(rows)
        return self.written


def read_shard(path: Path) -> tuple[tuple[str, ...], Rows, str]:
    """The streams of a shard by number, its whole rows, mapped, and what is wrong with it in a sentence or nothing.

    A shard that cannot be read at all has no streams and no rows.
    """
    try:
        with path.open("rb") as file:
            first = file.read(HEADER_BYTES)
            streams, keyed = read_header(first)
            if len(first) < HEADER_BYTES:
                raise RecordError("breaks off within its header")
            dtype = KEYED_ROW if keyed else PLAIN_ROW
            count, rest = divmod(os.fstat(file.fileno()).st_size - HEADER_BYTES, dtype.itemsize)
            rows: Rows = np.memmap(file, dtype, "r", HEADER_BYTES, (count,)) if count > 0 else np.empty(0, dtype)
    except (OSError, RecordError) as error:
        return (), np.empty(0, PLAIN_ROW), f"cannot be read: {error}"
    return streams, rows, f"breaks off in the middle of a row after {count} samples" if rest else ""
