"""One case of a run: the directory that its observers write and its checks read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from drainproof.clock import Anchor
from drainproof.errors import RecordError
from drainproof.record.events import Event, EventLog, read_events
from drainproof.record.history import History, read_history
from drainproof.record.history_shards import SHARD_PREFIX as HISTORY_PREFIX
from drainproof.record.history_shards import SHARD_SUFFIX as HISTORY_SUFFIX
from drainproof.record.history_shards import merge_history
from drainproof.record.merging import merge_shards
from drainproof.record.run import RunInfo
from drainproof.record.samples import SampleFile, read_samples
from drainproof.record.shards import SHARD_SUFFIX

EVENTS, SAMPLES, METRICS, VERDICT, TABLES, HISTORY = (
    "events.jsonl", "samples.parquet", "metrics.json", "verdict.json", "tables.parquet", "history.parquet"
)
SHARDS = "shards"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file in one step: a reader sees the old content or the new, never half of it.

    It is on the disk when this returns: what is done next may take the power away.
    """
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1, default=str) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """The name of a file is the directory's content: the new one lasts only when that is on the disk as well."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def read_json(path: Path) -> Any:
    """Read a JSON file; raises RecordError when it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error


class Case:
    """The writing side of a case's directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.events = EventLog(directory / EVENTS)

    def shard(self, observer: str) -> Path:
        """Where an observer writes its samples while it runs."""
        return self.directory / SHARDS / f"{observer}{SHARD_SUFFIX}"

    def merge_samples(self) -> None:
        """Make samples.parquet of the observers' shards, once; what is wrong with a shard becomes an event."""
        shards = sorted((self.directory / SHARDS).glob(f"*{SHARD_SUFFIX}"))
        for trouble in merge_shards(shards, self.directory / SAMPLES):
            self.events.add("record", "damaged-shard", reason=trouble)

    def history_shard(self, name: str) -> Path:
        """Where a session of the consistency workloads, or the audit, writes what it did and saw."""
        return self.directory / SHARDS / f"{HISTORY_PREFIX}{name}{HISTORY_SUFFIX}"

    def merge_history(self) -> None:
        """Make history.parquet of the shards of histories, once; what is wrong with a shard becomes an event."""
        shards = sorted((self.directory / SHARDS).glob(f"{HISTORY_PREFIX}*{HISTORY_SUFFIX}"))
        for trouble in merge_history(shards, self.directory / HISTORY):
            self.events.add("record", "damaged-history", reason=trouble)

    def write_metrics(self, queries: Sequence[Mapping[str, Any]]) -> None:
        """Store each PromQL used with the series it returned."""
        write_json(self.directory / METRICS, list(queries))

    def close(self) -> None:
        self.events.close()


@dataclass(frozen=True)
class CaseReader:
    """The reading side of a case's directory: evidence only, nothing is computed here."""

    directory: Path

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def run(self) -> RunInfo:
        return RunInfo.read(self.directory.parent)

    @property
    def anchor(self) -> Anchor:
        return self.run.anchor

    def events(self, source: str | None = None, kind: str | None = None) -> list[Event]:
        """The events, by time, of one source and kind if they are named."""
        return [
            event
            for event in read_events(self.directory / EVENTS)
            if source in (None, event.source) and kind in (None, event.kind)
        ]

    def samples(self) -> SampleFile:
        """The samples by stream, read when they are asked for."""
        return read_samples(self.directory / SAMPLES)

    def metrics(self) -> list[dict[str, Any]]:
        content = read_json(self.directory / METRICS)
        if not isinstance(content, list):
            raise RecordError(f"{self.directory / METRICS}: is not a list of queries")
        return content

    def history(self) -> History:
        """The operations of the consistency workloads."""
        return read_history(self.directory / HISTORY)

    def tables(self) -> pa.Table:
        """The audited rows: member, table, key, digest."""
        path = self.directory / TABLES
        try:
            return pq.read_table(pa.OSFile(str(path), "rb"))
        except FileNotFoundError as error:
            raise RecordError(f"{path}: is missing") from error
        except (OSError, pa.ArrowException) as error:
            raise RecordError(f"{path}: cannot be read: {error}") from error
