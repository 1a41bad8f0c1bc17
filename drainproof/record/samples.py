"""Samples: one row per client operation, in one Parquet file that is read a stream, or a part of one, at a time.

Each row group holds one stream, sorted by start, so what a reader needs is bounded by what it asks for. Every row that
is handed out has been checked: what cannot be true is an error, never a number.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from drainproof.errors import RecordError
from drainproof.record.spool import NO_KEY

ROWS_PER_GROUP: Final = 1 << 20
LATEST_NS: Final = 1 << 61
"""No host is up for 73 years: a later instant is no instant."""

SCHEMA = pa.schema(
    [
        ("stream", pa.dictionary(pa.int32(), pa.string())),
        ("intended_ns", pa.int64()),
        ("start_ns", pa.int64()),
        ("end_ns", pa.int64()),
        ("outcome", pa.int8()),
        ("key", pa.int64()),
    ]
)
TIMED: Final = ("start_ns", "end_ns", "outcome", "intended_ns")
"""The columns of which every row has a value."""
NUMBERS: Final = tuple(SCHEMA.names[1:])
_UNREADABLE: Final = (OSError, ValueError, pa.ArrowException)
"""What reading a damaged Parquet file may raise."""
_KEPT_ROWS, _KEPT_STREAM_ROWS = 1 << 23, 1 << 22

Column = npt.NDArray[Any]


class Outcome(IntEnum):
    """How an operation ended."""

    OK = 0
    ERROR = 1
    """The service answered with an error, or refused or reset the connection."""
    TIMEOUT = 2
    """No answer within the operation's own limit."""
    INDETERMINATE = 3
    """Sent, but never acknowledged: it may or may not have taken effect."""
    LATE = 4
    """Answered, but only after the operation's own limit; its end is when the answer came."""


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


def read_samples(path: Path) -> SampleFile:
    """The samples of every stream, by stream name; none is read before it is asked for.

    Raises RecordError when the file is missing, damaged, has other columns or is not grouped by stream.
    """
    return SampleFile(path)


class SampleFile(Mapping[str, Samples]):
    """A file of samples. A stream that is asked for again and is not long is not read again. Not thread-safe.

    Whatever reads rows raises RecordError with the file, the stream and the row when these cannot be true.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(pa.OSFile(str(path), "rb"), page_checksum_verification=True)
            _check_columns(path, self._file.schema_arrow)
            self._groups, self._lengths = self._of_streams()
        except FileNotFoundError as error:
            raise RecordError(f"{path}: is missing") from error
        except _UNREADABLE as error:
            raise RecordError(f"{path}: not a readable sample file: {error}") from error
        self._kept: OrderedDict[str, Samples] = OrderedDict()
        self._checked: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, stream: object) -> bool:
        return stream in self._groups

    def __getitem__(self, stream: str) -> Samples:
        if stream in self._kept:
            self._kept.move_to_end(stream)
            return self._kept[stream]
        columns = {name: np.empty(self.count(stream), SCHEMA.field(name).type.to_pandas_dtype()) for name in NUMBERS}
        filled = 0
        for chunk in self.chunks(stream, NUMBERS, ROWS_PER_GROUP):
            for name, column in columns.items():
                column[filled : filled + len(chunk[name])] = chunk[name]
            filled += len(chunk["start_ns"])
        for column in columns.values():
            column.flags.writeable = False
        return self._keep(Samples(stream, **columns))

    def count(self, stream: str) -> int:
        """How many samples a stream has, without reading them."""
        return sum(self._lengths[group] for group in self._groups[stream])

    def chunks(
        self, stream: str, columns: Sequence[str] = TIMED, rows: int = 1 << 22
    ) -> Iterator[dict[str, Column]]:
        """The columns of a stream in pieces of at most so many rows, by start; raises KeyError for a stream not there.

        The rows are checked while they are read, those of a stream that was read to its end before not again.
        """
        fresh = stream not in self._checked
        checks = _Checks(self._path, stream)
        wanted = sorted({*columns, *(TIMED if fresh else ())})
        for groups in self._batches(stream, rows):
            found = self._read(stream, groups, wanted)
            if fresh:
                checks.of(found)
            for low in range(0, len(found[wanted[0]]), rows):
                yield {name: found[name][low : low + rows] for name in columns}
        self._checked.add(stream)

    def _of_streams(self) -> tuple[dict[str, list[int]], list[int]]:
        """The row groups of each stream, by its name, and how many rows each group has."""
        # Not by the footer's statistics: pyarrow ends the process when it meets damaged ones.
        found: dict[str, list[int]] = {}
        lengths = []
        for group in range(self._file.num_row_groups):
            names = pc.unique(self._file.read_row_group(group, columns=["stream"])["stream"]).to_pylist()
            if len(names) != 1 or names[0] is None:
                raise RecordError(f"{self._path}: row group {group} does not hold the samples of one stream")
            found.setdefault(names[0], []).append(group)
            lengths.append(int(self._file.metadata.row_group(group).num_rows))
            if lengths[-1] > ROWS_PER_GROUP:
                raise RecordError(f"{self._path}: row group {group} is longer than {ROWS_PER_GROUP} rows")
        if sum(lengths) != self._file.metadata.num_rows:
            raise RecordError(f"{self._path}: its row groups have not as many rows as the file")
        return dict(sorted(found.items())), lengths

    def _batches(self, stream: str, rows: int) -> Iterator[list[int]]:
        """The stream's row groups, as many together as have no more than so many rows, and at least one."""
        batch: list[int] = []
        held = 0
        for group in self._groups[stream]:
            if batch and held + self._lengths[group] > rows:
                yield batch
                batch, held = [], 0
            batch.append(group)
            held += self._lengths[group]
        yield batch

    def _read(self, stream: str, groups: list[int], columns: Sequence[str]) -> dict[str, Column]:
        try:
            table = self._file.read_row_groups(groups, columns=[*columns])
        except _UNREADABLE as error:
            raise RecordError(f"{self._path}: stream {stream}: cannot be read: {error}") from error
        if table.num_rows != sum(self._lengths[group] for group in groups):
            raise RecordError(f"{self._path}: stream {stream}: holds other rows than its file tells")
        for name in columns:
            if name in TIMED and table[name].null_count:
                raise RecordError(f"{self._path}: stream {stream}: {name} has rows without a value")
        return {name: _numbers(table[name]) for name in columns}

    def _keep(self, samples: Samples) -> Samples:
        if len(samples) < _KEPT_STREAM_ROWS:
            self._kept[samples.stream] = samples
            while sum(map(len, self._kept.values())) > _KEPT_ROWS:
                self._kept.popitem(last=False)
        return samples


class _Checks:
    """What must be true of the rows of a stream, piece after piece."""

    def __init__(self, path: Path, stream: str) -> None:
        self._where = f"{path}: stream {stream}"
        self._row = 0
        self._last_start = 0

    def of(self, found: Mapping[str, Column]) -> None:
        """Raises RecordError for the first row that cannot be true."""
        start, end, outcome = found["start_ns"], found["end_ns"], found["outcome"]
        self._refuse((start < 0) | (end > LATEST_NS), "its clock stood at an instant that no host's clock can have")
        earlier = np.concatenate((np.array([self._last_start], np.int64), start[:-1]))
        self._refuse(start < earlier, "start_ns lies before that of the row before it")
        self._refuse(end < start, "end_ns lies before start_ns")
        self._refuse(found["intended_ns"] > start, "intended_ns lies after start_ns")
        self._refuse((outcome < 0) | (outcome > max(Outcome)), "its outcome is none that is known")
        self._row += len(start)
        self._last_start = int(start[-1]) if len(start) else self._last_start

    def _refuse(self, bad: npt.NDArray[np.bool_], what: str) -> None:
        if bad.any():
            raise RecordError(f"{self._where}: row {self._row + int(bad.argmax())}: {what}")


def _numbers(column: Any) -> Column:
    found: Column = column.fill_null(NO_KEY).to_numpy()
    return found


def _check_columns(path: Path, schema: pa.Schema) -> None:
    expected, found = ({field.name: _plain(field.type) for field in one} for one in (SCHEMA, schema))
    if missing := [name for name in expected if name not in found]:
        raise RecordError(f"{path}: lacks the columns {', '.join(missing)}")
    for name, kind in expected.items():
        if found[name] != kind:
            raise RecordError(f"{path}: column {name} is of type {found[name]}, not {kind}")
    if schema.names != SCHEMA.names:
        raise RecordError(f"{path}: has the columns {', '.join(schema.names)}, not {', '.join(SCHEMA.names)}")


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
