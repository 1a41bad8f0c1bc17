"""The history of the consistency workloads: one row per transaction, what it did and saw, in one Parquet file.

It is sorted by start: the same operations give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from drainproof.errors import RecordError
from drainproof.record.samples import LATEST_NS, Outcome

SYNC, PLAIN = "sync", "plain"
"""Levels of an operation: whether wsrep_sync_wait made the member catch up before it."""
LEVELS: Final = (PLAIN, SYNC)

_STEP: Final = pa.struct(
    [("act", pa.int8()), ("key", pa.int64()), ("value", pa.int64()), ("seen", pa.list_(pa.int64()))]
)
_COLUMNS: Final[list[tuple[str, pa.DataType]]] = [
    ("workload", pa.string()),
    ("session", pa.int32()),
    ("member", pa.string()),
    ("op", pa.int64()),
    ("start_ns", pa.int64()),
    ("end_ns", pa.int64()),
    ("outcome", pa.int8()),
    ("level", pa.string()),
    ("final", pa.bool_()),
    ("acts", pa.list_(_STEP)),
]
SCHEMA: Final = pa.schema(_COLUMNS)
_BATCH: Final = 1 << 16
UNREADABLE: Final = (OSError, ValueError, KeyError, pa.ArrowException)
"""What reading a damaged file may raise."""

Column = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]


class Act(IntEnum):
    """What one step of a transaction does, and which fields say so."""

    APPEND = 0
    """`value` to the end of the list `key`."""
    READ = 1
    """The list `key`: `seen` in its order."""
    TRANSFER = 2
    """From account `key` to account `value`; `seen` is the amount."""
    BALANCES = 3
    """`seen`, account by account."""
    ADD = 4
    """`value` to the set."""
    MEMBERS = 5
    """All of the set: `seen`."""
    WRITE = 6
    """Version `value` into the register `key`."""
    GET = 7
    """The version `value` seen in the register `key`."""
    BUMP = 8
    """`value` into the counter `key`, after `value` - 1 was read there: a read-modify-write."""


class Step(NamedTuple):
    """One step of a transaction; a field that its act does not need stays as it is here."""

    act: Act
    key: int = 0
    value: int = 0
    seen: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One transaction of one session on one member; times in monotonic nanoseconds.

    OK is acknowledged, ERROR certainly not applied; TIMEOUT, INDETERMINATE and LATE may or may not have been applied.
    """

    workload: str
    session: int
    member: str
    op: int
    start_ns: int
    end_ns: int
    outcome: Outcome
    acts: tuple[Step, ...]
    level: str = PLAIN
    final: bool = False
    """Read at the audit, after all writing had stopped."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of all operations, in order, as columns; what step i saw is seen[begins[i]:begins[i + 1]]."""

    row: Integers
    """The place of the step's operation in the history."""
    act: npt.NDArray[np.int8]
    key: Integers
    value: Integers
    begins: Integers
    seen: Integers

    def __len__(self) -> int:
        return len(self.act)

    def seen_by(self, step: int) -> Integers:
        """What one step saw."""
        return self.seen[self.begins[step] : self.begins[step + 1]]

    def lengths(self) -> Integers:
        """How many values each step saw."""
        return np.diff(self.begins)


@dataclass(frozen=True, slots=True)
class History:
    """Operations as columns, sorted by start; workloads and members by their place in the tuple of their names."""

    workloads: tuple[str, ...]
    members: tuple[str, ...]
    workload: npt.NDArray[np.int32]
    member: npt.NDArray[np.int32]
    session: npt.NDArray[np.int32]
    op: Integers
    start_ns: Integers
    end_ns: Integers
    outcome: npt.NDArray[np.int8]
    sync: npt.NDArray[np.bool_]
    final: npt.NDArray[np.bool_]
    steps: Steps

    def __len__(self) -> int:
        return len(self.op)

    @property
    def acknowledged(self) -> npt.NDArray[np.bool_]:
        """Which operations were answered as done."""
        return np.asarray(self.outcome == Outcome.OK)

    @property
    def refused(self) -> npt.NDArray[np.bool_]:
        """Which operations were certainly not applied."""
        return np.asarray(self.outcome == Outcome.ERROR)

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> History:
        """The history of operations that are in memory, in any order."""
        return history_of(_sorted(table_of(list(operations))), "the history")

    def only(self, workload: str) -> History:
        """The operations of one workload."""
        place = self.workloads.index(workload) if workload in self.workloads else -1
        return self.where(self.workload == place)

    def where(self, rows: npt.NDArray[np.bool_]) -> History:
        """The operations that a mask selects, with their steps."""
        kept = rows[self.steps.row]
        lengths = self.steps.lengths()
        steps = Steps(
            row=(np.cumsum(rows) - 1)[self.steps.row[kept]],
            act=self.steps.act[kept],
            key=self.steps.key[kept],
            value=self.steps.value[kept],
            begins=np.concatenate(([0], np.cumsum(lengths[kept]))),
            seen=self.steps.seen[np.repeat(kept, lengths)],
        )
        return History(
            self.workloads, self.members, self.workload[rows], self.member[rows], self.session[rows], self.op[rows],
            self.start_ns[rows], self.end_ns[rows], self.outcome[rows], self.sync[rows], self.final[rows], steps,
        )


def table_of(operations: Sequence[Operation]) -> pa.Table:
    """Operations as rows of the schema, in their order."""
    columns = {
        name: pa.array([getattr(operation, name) for operation in operations], SCHEMA.field(name).type)
        for name in SCHEMA.names[:-1]
    }
    acts = [[step._asdict() for step in operation.acts] for operation in operations]
    return pa.table({**columns, "acts": pa.array(acts, SCHEMA.field("acts").type)}, schema=SCHEMA)


def write_history(table: pa.Table, target: Path) -> None:
    """Write the file in one step, sorted by start and operation. Raises RecordError when it cannot be written."""
    temporary = target.with_name(target.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(_sorted(table), file, compression="zstd", write_page_checksum=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"{target}: cannot be written: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_history(path: Path) -> History:
    """The operations of a case. Raises RecordError when the file is missing, damaged, or cannot be true."""
    try:
        with pa.OSFile(str(path), "rb") as source, pq.ParquetFile(source) as file:
            # In small batches: decoding a whole column at once takes twice the memory.
            table = pa.Table.from_batches(file.iter_batches(_BATCH), file.schema_arrow)
    except FileNotFoundError as error:
        raise RecordError(f"{path}: is missing") from error
    except UNREADABLE as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    history = history_of(table, str(path))
    del table
    pa.default_memory_pool().release_unused()
    return history


def history_of(table: pa.Table, name: str) -> History:
    """The columns of a table of operations; raises RecordError, with that name, for what cannot be true."""
    if not table.schema.equals(SCHEMA):
        raise RecordError(f"{name}: has the columns {table.schema.to_string()}, not those of a history")
    columns = {field: _whole(table[field]) for field in SCHEMA.names}
    acts = columns.pop("acts")
    steps = acts.values
    seen = steps.field("seen")
    if any(array.null_count for array in (*columns.values(), acts, steps, *steps.flatten(), seen.values)):
        raise RecordError(f"{name}: has rows without a value")
    workloads, workload = _encoded(columns.pop("workload"))
    members, member = _encoded(columns.pop("member"))
    levels, level = _encoded(columns.pop("level"))
    if not set(levels) <= set(LEVELS):
        raise RecordError(f"{name}: has an operation at none of the levels {', '.join(LEVELS)}")
    sync = level == (levels.index(SYNC) if SYNC in levels else -1)
    numbers = {field: column.to_numpy(zero_copy_only=False) for field, column in columns.items()}
    history = History(
        workloads=workloads, members=members, workload=workload, member=member, sync=sync, **numbers,
        steps=Steps(
            row=np.repeat(np.arange(len(acts)), np.diff(acts.offsets.to_numpy())),
            act=steps.field("act").to_numpy(),
            key=steps.field("key").to_numpy(),
            value=steps.field("value").to_numpy(),
            begins=seen.offsets.to_numpy().astype(np.int64),
            seen=seen.values.to_numpy(),
        ),
    )
    _check(history, name)
    return history


def _check(history: History, name: str) -> None:
    def refuse(bad: npt.NDArray[np.bool_], what: str) -> None:
        if bad.any():
            raise RecordError(f"{name}: operation {history.op[bad.argmax()]}: {what}")

    starts, ends, steps = history.start_ns, history.end_ns, history.steps
    refuse((starts < 0) | (ends > LATEST_NS), "its clock stood at an instant that no host's clock can have")
    refuse(ends < starts, "end_ns lies before start_ns")
    refuse((history.outcome < 0) | (history.outcome > max(Outcome)), "its outcome is none that is known")
    refuse(np.diff(starts, prepend=0) < 0, "start_ns lies before that of the row before it")
    order = np.argsort(history.op, kind="stable")
    twice = np.zeros(len(history), np.bool_)
    twice[order[1:]] = np.diff(history.op[order]) == 0
    refuse(twice, "is recorded twice")
    strange = np.zeros(len(history), np.bool_)
    strange[steps.row[(steps.act < 0) | (steps.act > max(Act))]] = True
    refuse(strange, "has a step that is none that is known")


def _sorted(table: pa.Table) -> pa.Table:
    order = pc.sort_indices(table, sort_keys=[("start_ns", "ascending"), ("op", "ascending")])
    return table.combine_chunks().take(order)


def _whole(column: Any) -> Any:
    """One array that begins at the begin of its memory, so that its offsets count from zero."""
    array: Any = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    return pa.concat_arrays([array, array.slice(0, 0)]) if array.offset else array


def _encoded(column: Any) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
    """The distinct strings in order, and for each row the place of its own."""
    found = column.dictionary_encode()
    names: list[str] = found.dictionary.to_pylist()
    ordered = sorted(names)
    places = np.array([ordered.index(name) for name in names], np.int32)
    return tuple(ordered), places[found.indices.to_numpy()] if names else np.zeros(0, np.int32)
