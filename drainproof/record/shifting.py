"""Shifting: what another host's observers wrote is put on this host's clock, before it is merged into the record."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from drainproof.errors import RecordError
from drainproof.record.events import Event, read_events
from drainproof.record.history import SCHEMA, UNREADABLE
from drainproof.record.shards import read_shard
from drainproof.record.spool import HEADER_BYTES

INSTANTS: Final = frozenset({"start_ns", "end_ns", "since_ns", "from_ns", "to_ns"})
"""What of an observer's event is an instant of its clock; every other number of nanoseconds is a length."""
_ROWS: Final = 1 << 20
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
"""By which a reader of a history knows that nothing is missing."""


def shift_shard(path: Path, by_ns: int) -> None:
    """Move the start and end of every whole row of a shard of samples, in place.

    The key of a row is none of this clock: an order's number, or the guest's own time. A shard that cannot be read is
    left as it is; merging tells of it.
    """
    _, rows, _ = read_shard(path)
    if not by_ns or not len(rows):
        return
    held = np.memmap(path, rows.dtype, "r+", HEADER_BYTES, (len(rows),))
    for first in range(0, len(held), _ROWS):
        block = held[first : first + _ROWS]
        block["start"] += by_ns
        block["end"] += by_ns
    held.flush()


def shift_history(path: Path, by_ns: int) -> None:
    """Move the start and end of every whole batch of a shard of a history; one that breaks off still does.

    A shard that cannot be read is left as it is; merging tells of it.
    """
    if not by_ns:
        return
    temporary = path.with_name(path.name + ".tmp")
    try:
        with path.open("rb") as source, temporary.open("wb") as target:
            stream = pa.ipc.open_stream(source)
            if not stream.schema.equals(SCHEMA):
                raise RecordError("has other columns than a history")
            writer = pa.ipc.new_stream(target, SCHEMA)
            _copy(stream, writer, by_ns)
            source.seek(-len(_END_OF_STREAM), os.SEEK_END)
            if source.read() == _END_OF_STREAM:
                writer.close()
        temporary.replace(path)
    except (*UNREADABLE, RecordError):
        temporary.unlink(missing_ok=True)


def _copy(stream: Any, writer: Any, by_ns: int) -> None:
    """Copy every whole batch."""
    while True:
        try:
            batch = stream.read_next_batch()
        except (StopIteration, OSError, pa.ArrowException):
            return
        for name in ("start_ns", "end_ns"):
            place = SCHEMA.get_field_index(name)
            batch = batch.set_column(place, SCHEMA.field(name), pc.add(batch.column(place), by_ns))
        writer.write_batch(batch)


def shifted_events(path: Path, by_ns: int) -> Iterator[Event]:
    """The events of another host on this clock; raises RecordError when the file cannot be read."""
    for event in read_events(path):
        data = {name: _shifted(name, value, by_ns) for name, value in event.data.items()}
        yield Event(event.t_ns + by_ns, event.source, event.kind, event.object, data)


def _shifted(name: str, value: Any, by_ns: int) -> Any:
    return value + by_ns if name in INSTANTS and isinstance(value, int) else value
