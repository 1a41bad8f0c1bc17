"""Events: what was done and what was seen, one JSON object a line, in the order in which each writer saw it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from drainproof.errors import RecordError


@dataclass(frozen=True, slots=True)
class Event:
    """One thing done or seen.

    `t_ns` is monotonic; `source` names who says it (drain, watch, witness ...), `kind` what happened, `object` to what.
    """

    t_ns: int
    source: str
    kind: str
    object: str
    data: Mapping[str, Any]


class EventLog:
    """Appends events to a file, a line each, flushed at once; several threads and processes may share one file.

    A line goes out in one write to a file opened for appending, so lines of several writers never mix.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def add(self, source: str, kind: str, object: str = "", /, **data: Any) -> Event:
        """Write one event that happened now; `data` may have any key."""
        return self.add_at(time.monotonic_ns(), source, kind, object, **data)

    def add_at(self, t_ns: int, source: str, kind: str, object: str = "", /, **data: Any) -> Event:
        """Write one event that happened at a monotonic instant."""
        event = Event(t_ns, source, kind, object, data)
        line = json.dumps(
            {"t_ns": event.t_ns, "source": source, "kind": kind, "object": object, "data": data}, default=str
        )
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
        return event

    def close(self) -> None:
        with self._lock:
            self._file.close()


def read_events(path: Path) -> list[Event]:
    """Every event of a file, sorted by time; an unfinished last line (a killed writer) is left out.

    Raises RecordError when the file is missing or a finished line is not an event.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    events = [_parse(path, number, line) for number, line in enumerate(lines[:-1], 1) if line]
    return sorted(events, key=lambda event: event.t_ns)


def _parse(path: Path, number: int, line: str) -> Event:
    try:
        entry = json.loads(line)
        if not isinstance(entry["data"], dict):
            raise TypeError("its data is not an object")
        source, kind, subject = (str(entry[name]) for name in ("source", "kind", "object"))
        return Event(int(entry["t_ns"]), source, kind, subject, entry["data"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise RecordError(f"{path}: line {number} is not an event: {error}") from error
