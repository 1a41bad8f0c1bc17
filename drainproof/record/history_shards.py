"""Shards of a history: Arrow IPC streams, written while observers run, readable up to a whole batch after a kill."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.ipc

from drainproof.errors import RecordError
from drainproof.record.history import SCHEMA, UNREADABLE, Operation, table_of, write_history

SHARD_PREFIX: Final = "history-"
SHARD_SUFFIX: Final = ".arrow"
BATCH_ROWS: Final = 256
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"


class HistoryWriter:
    """Writes one shard; several threads may share it. What was flushed outlives a kill of this process.

    A batch goes out when it is full, or when its owner says so: once a second, say.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written = 0
        self._lock = threading.Lock()
        self._waiting: list[Operation] = []
        self._file = path.open("xb", buffering=0)
        self._stream = pa.ipc.new_stream(self._file, SCHEMA)

    def add(self, operation: Operation) -> None:
        """Keep one operation that has ended."""
        with self._lock:
            self._waiting.append(operation)
            if len(self._waiting) >= BATCH_ROWS:
                self._write()

    def flush(self) -> int:
        """Write all that was kept; how many operations are in the shard now."""
        with self._lock:
            self._write()
            return self.written

    def close(self) -> None:
        """Write all that was kept, and the mark by which a reader knows that nothing is missing."""
        with self._lock:
            try:
                self._write()
                self._stream.close()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write(self) -> None:
        if self._waiting:
            self._stream.write_table(table_of(self._waiting))
            self.written += len(self._waiting)
            self._waiting = []


def merge_history(paths: Sequence[Path], target: Path) -> list[str]:
    """Merge shards into one history file; returns what was wrong with any shard, in sentences.

    A shard that breaks off contributes the batches before the break. Shards that were whole are removed once the file
    is on disk; one that is damaged stays. Raises RecordError when the file exists already or cannot be written.
    """
    if target.exists():
        raise RecordError(f"{target}: exists already: the shards of a history are merged once")
    tables, troubles = [SCHEMA.empty_table()], {}
    for path in sorted(paths):
        table, trouble = _read_shard(path)
        tables.append(table)
        if trouble:
            troubles[path] = trouble
    write_history(pa.concat_tables(tables), target)
    for path in set(paths) - set(troubles):
        path.unlink()
    return [f"{path.name}: {trouble}" for path, trouble in troubles.items()]


def _read_shard(path: Path) -> tuple[pa.Table, str]:
    """The operations of a shard as far as it is whole, and what is wrong with it in a sentence or nothing."""
    batches: list[pa.RecordBatch] = []
    try:
        with path.open("rb") as file:
            batches.extend(_batches(pa.ipc.open_stream(file)))
            file.seek(-len(_END_OF_STREAM), os.SEEK_END)
            closed = file.read() == _END_OF_STREAM
    except UNREADABLE as error:
        return SCHEMA.empty_table(), f"cannot be read: {error}"
    table = pa.Table.from_batches(batches, SCHEMA)
    return table, "" if closed else f"breaks off after {table.num_rows} operations: its writer was killed"


def _batches(stream: Any) -> Iterator[pa.RecordBatch]:
    if not stream.schema.equals(SCHEMA):
        raise RecordError("has other columns than a history")
    while True:
        try:
            yield stream.read_next_batch()
        except (StopIteration, OSError, pa.ArrowException):
            return
