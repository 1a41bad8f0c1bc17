"""Samples: one row per client operation, written by each observer to its own shard and merged into one Parquet file."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from drainproof.errors import RecordError

SHARD_SUFFIX = ".arrows"
NO_KEY = -1

SCHEMA = pa.schema(
    [
        ("stream", pa.dictionary(pa.int16(), pa.string())),
        ("intended_ns", pa.int64()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("outcome", pa.int8()),
        ("key", pa.int64()),
    ]
)


class Outcome(IntEnum):
    """How an operation ended."""

    OK = 0
    ERROR = 1
    """The service answered with an error, or refused or reset the connection."""
    TIMEOUT = 2
    """No answer within the operation's own limit."""
    INDETERMINATE = 3
    """Sent, but never acknowledged: it may or may not have taken effect."""


class SampleWriter:
    """Writes the samples of one process to a shard in Arrow's stream format.

    Rows collect in preallocated-type arrays and go to disk with every `flush`, so a killed observer loses only what
    came after its last flush. Not thread-safe: one writer per thread.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, SCHEMA)
        self._names: list[str] = []
        self._columns = _empty_columns()

    def stream(self, name: str) -> int:
        """The number under which a stream's samples are added."""
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def add(
        self, stream: int, intended_ns: int, start_ns: int, end_ns: int, outcome: int, key: int = NO_KEY
    ) -> None:
        """One operation: when it was due, when it was sent, when it ended (all monotonic), how, and its unique key."""
        columns = self._columns
        columns[0].append(stream)
        columns[1].append(intended_ns)
        columns[2].append(start_ns)
        columns[3].append(end_ns)
        columns[4].append(outcome)
        columns[5].append(key)

    def flush(self) -> None:
        """Hand the rows collected so far to the kernel."""
        streams, *numbers = self._columns
        if not streams:
            return
        self._columns = _empty_columns()
        dictionary = pa.DictionaryArray.from_arrays(pa.array(streams, pa.int16()), pa.array(self._names, pa.string()))
        arrays = [pa.array(column, field.type) for column, field in zip(numbers, list(SCHEMA)[1:], strict=True)]
        self._writer.write_batch(pa.record_batch([dictionary, *arrays], schema=SCHEMA))
        self._sink.flush()

    def close(self) -> None:
        self.flush()
        self._writer.close()
        self._sink.close()


def _empty_columns() -> list[array[int]]:
    return [array(code) for code in "hqqqbq"]


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one stream, as columns sorted by start; times in monotonic nanoseconds."""

    stream: str
    intended_ns: npt.NDArray[np.int64]
    start_ns: npt.NDArray[np.int64]
    end_ns: npt.NDArray[np.int64]
    outcome: npt.NDArray[np.int8]
    key: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start_ns)


def merge_shards(shards: Sequence[Path], target: Path) -> list[str]:
    """Merge shards into one Parquet file sorted by start; returns what was wrong with any shard, in sentences.

    A shard that breaks off in the middle (its observer was killed) contributes the rows before the break.
    """
    tables, troubles = [], []
    for shard in shards:
        batches, trouble = _read_shard(shard)
        if trouble:
            troubles.append(f"{shard.name}: {trouble}")
        tables += [pa.Table.from_batches([batch]) for batch in batches]
    table = pa.concat_tables(tables).unify_dictionaries() if tables else SCHEMA.empty_table()
    order = pc.sort_indices(table, sort_keys=[("start_ns", "ascending")])
    encodings = dict.fromkeys(("intended_ns", "start_ns", "end_ns", "key"), "DELTA_BINARY_PACKED")
    pq.write_table(
        table.take(order), target, compression="zstd", use_dictionary=False, column_encoding=encodings
    )
    return troubles


def _read_shard(shard: Path) -> tuple[list[pa.RecordBatch], str]:
    batches: list[pa.RecordBatch] = []
    try:
        with pa.OSFile(str(shard), "rb") as source:
            reader = pa.ipc.open_stream(source)
            batches.extend(reader)
    except (pa.ArrowInvalid, OSError) as error:
        return batches, f"breaks off after {sum(len(batch) for batch in batches)} samples ({error})"
    return batches, ""


def read_samples(path: Path) -> dict[str, Samples]:
    """The samples of every stream, by stream name.

    Raises RecordError when the file is missing, damaged or has other columns.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise RecordError(f"{path}: not a readable sample file: {error}") from error
    if missing := set(SCHEMA.names) - set(table.column_names):
        raise RecordError(f"{path}: lacks the columns {sorted(missing)}")
    names = np.array(table["stream"].to_pylist(), dtype=object)
    columns = {column: table[column].to_numpy() for column in SCHEMA.names[1:]}
    return {name: _of_stream(columns, names == name, name) for name in sorted(set(names))}


def _of_stream(columns: dict[str, npt.NDArray[Any]], rows: npt.NDArray[np.bool_], name: str) -> Samples:
    return Samples(stream=name, **{column: values[rows] for column, values in columns.items()})
