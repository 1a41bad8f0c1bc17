"""Merging: the shards of all observers become one file of samples, in memory bounded by the longest stream."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from drainproof.errors import RecordError
from drainproof.record.samples import NUMBERS, ROWS_PER_GROUP, SCHEMA, read_samples
from drainproof.record.shards import read_shard
from drainproof.record.spool import HEADER_BYTES, KEYED_ROW, NO_KEY, Rows

BLOCK_ROWS: Final = 1 << 20
BATCH_ROWS: Final = 1 << 24
"""Streams that have no more rows than that together are collected in one pass over the shards."""
# Deltas of neighbours need few bits. Zstandard finds what repeats in them; a higher level finds no more.
_FORMAT: Final[Mapping[str, Any]] = {
    "compression": "zstd", "compression_level": 1, "use_dictionary": ["stream"], "write_page_checksum": True,
    "column_encoding": {name: "DELTA_BINARY_PACKED" for name in NUMBERS if name != "outcome"},
}
_NUMBERS_OF_STREAMS: Final = 1 << 16
_NOBODY: Final = -1

Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Shard:
    """A shard that could be read, as far as it is whole."""

    path: Path
    streams: tuple[str, ...]
    dtype: np.dtype[Any]
    rows: int

    @property
    def keyed(self) -> bool:
        return self.dtype == KEYED_ROW

    def blocks(self) -> Iterator[Rows]:
        """Its rows, copied a block at a time, so that a long shard never stays in this process's memory."""
        for first in range(0, self.rows, BLOCK_ROWS):
            count = min(BLOCK_ROWS, self.rows - first)
            yield np.fromfile(self.path, self.dtype, count, offset=HEADER_BYTES + first * self.dtype.itemsize)

    def numbers(self, names: Sequence[str]) -> npt.NDArray[np.int16]:
        """For each number that a row may give its stream, the place of that stream in `names`, or -1."""
        places = {name: place for place, name in enumerate(names)}
        table = np.full(_NUMBERS_OF_STREAMS, _NOBODY, np.int16)
        table[: len(self.streams)] = [places.get(name, _NOBODY) for name in self.streams]
        return table


def merge_shards(paths: Sequence[Path], target: Path) -> list[str]:
    """Merge shards into one sample file; returns what was wrong with any shard, in sentences.

    The rows decide the file's bytes, not how they were spread over shards. A shard that breaks off (its observer was
    killed) contributes the rows before the break. Shards whose every row is in the file are removed once the file is
    on disk; one that is damaged stays. Raises RecordError when the file exists already or cannot be written.
    """
    if target.exists():
        raise RecordError(f"{target}: exists already: the shards of a case are merged once")
    temporary = target.with_name(target.name + ".tmp")
    try:
        shards, counts, troubles = _survey(paths)
        _write(shards, counts, temporary)
        written = read_samples(temporary)
        if {name: written.count(name) for name in written} != counts:
            raise RecordError(f"{temporary}: holds other rows than were written; the shards are kept")
        temporary.replace(target)
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{target}: cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    for path in set(paths) - set(troubles):
        path.unlink()
    return [f"{path.name}: {trouble}" for path, trouble in troubles.items()]


def _survey(paths: Sequence[Path]) -> tuple[list[_Shard], dict[str, int], dict[Path, str]]:
    """The shards, how many rows each stream has in all of them, and what is wrong with which shard."""
    shards: list[_Shard] = []
    counts: dict[str, int] = {}
    troubles: dict[Path, str] = {}
    for path in sorted(paths):
        streams, rows, trouble = read_shard(path)
        shard = _Shard(path, streams, rows.dtype, len(rows))
        found = np.zeros(_NUMBERS_OF_STREAMS, np.int64)
        for block in shard.blocks():
            found += np.bincount(block["stream"], minlength=_NUMBERS_OF_STREAMS)
        if strange := int(found[len(streams) :].sum()):
            trouble = "; ".join(filter(None, (trouble, f"{strange} samples are of no stream that it names")))
        if trouble:
            troubles[path] = trouble
        for name, count in zip(streams, found.tolist(), strict=False):
            counts[name] = counts.get(name, 0) + count
        shards.append(shard)
    return shards, {name: count for name, count in sorted(counts.items()) if count}, troubles


def _write(shards: Sequence[_Shard], counts: Mapping[str, int], path: Path) -> None:
    with path.open("wb") as file:
        with pq.ParquetWriter(file, SCHEMA, **_FORMAT) as writer:
            for names in _batches(counts):
                collected = _collect(shards, {name: counts[name] for name in names})
                for name in names:
                    _write_stream(writer, name, _sorted(collected.pop(name)))
        file.flush()
        os.fsync(file.fileno())


def _batches(counts: Mapping[str, int]) -> Iterator[list[str]]:
    """The streams in their order, as many together as fit; one that is longer comes alone."""
    batch: list[str] = []
    held = 0
    for name, count in counts.items():
        if batch and held + count > BATCH_ROWS:
            yield batch
            batch, held = [], 0
        batch.append(name)
        held += count
    if batch:
        yield batch


def _collect(shards: Sequence[_Shard], counts: Mapping[str, int]) -> dict[str, Columns]:
    """The rows of some streams out of all shards, in the order of the shards."""
    names = list(counts)
    keyed = {name for shard in shards if shard.keyed for name in shard.streams}
    collected = {name: _empty(count, keyed=name in keyed) for name, count in counts.items()}
    filled = dict.fromkeys(names, 0)
    for shard in shards:
        if not set(shard.streams) & counts.keys():
            continue
        numbers = shard.numbers(names)
        for block in shard.blocks():
            for place, rows in _split(block, numbers):
                name = names[place]
                _fill(collected[name], filled[name], rows)
                filled[name] += len(rows)
    return collected


def _empty(count: int, *, keyed: bool) -> Columns:
    columns = NUMBERS if keyed else [name for name in NUMBERS if name != "key"]
    return {name: np.empty(count, SCHEMA.field(name).type.to_pandas_dtype()) for name in columns}


def _split(block: Rows, numbers: npt.NDArray[np.int16]) -> Iterator[tuple[int, Rows]]:
    """The rows of each wanted stream in a block, with its place."""
    places = numbers[block["stream"]]
    wanted = places != _NOBODY
    if not wanted.all():
        block, places = block[wanted], places[wanted]
    order = np.argsort(places, kind="stable")
    end = 0
    for place, count in enumerate(np.bincount(places).tolist()):
        begin, end = end, end + count
        if count:
            yield place, block[order[begin:end]]


def _fill(columns: Columns, first: int, rows: Rows) -> None:
    where = slice(first, first + len(rows))
    columns["start_ns"][where] = rows["start"]
    columns["end_ns"][where] = rows["end"]
    columns["intended_ns"][where] = rows["start"] - rows["late"]
    columns["outcome"][where] = rows["outcome"].view(np.int8)
    if "key" in columns:
        columns["key"][where] = rows["key"] if "key" in (rows.dtype.names or ()) else NO_KEY


def _sorted(columns: Columns) -> Columns:
    """By start; of equal starts by everything else, so that the order does not tell which shard a row came from."""
    start = columns["start_ns"]
    if (start[1:] < start[:-1]).any():
        order = np.argsort(start, kind="stable")
        for name in columns:
            columns[name] = columns[name][order]
        start = columns["start_ns"]
    equal = np.concatenate(([False], start[1:] == start[:-1], [False]))
    tied = np.flatnonzero(equal[1:] | equal[:-1])
    if len(tied):
        rest = [columns[name][tied] for name in ("key", "outcome", "intended_ns", "end_ns") if name in columns]
        order = np.lexsort((*rest, start[tied]))
        for column in columns.values():
            column[tied] = column[tied][order]
    return columns


def _write_stream(writer: pq.ParquetWriter, name: str, columns: Columns) -> None:
    for first in range(0, len(columns["start_ns"]), ROWS_PER_GROUP):
        piece = {column: values[first : first + ROWS_PER_GROUP] for column, values in columns.items()}
        count = len(piece["start_ns"])
        keys = piece.get("key")
        arrays = [
            pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([name])),
            *(pa.array(piece[column]) for column in NUMBERS if column != "key"),
            pa.nulls(count, pa.int64()) if keys is None else pa.array(keys, mask=keys == NO_KEY),
        ]
        writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), row_group_size=ROWS_PER_GROUP)
