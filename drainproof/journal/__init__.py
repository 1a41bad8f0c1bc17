"""What a run has changed on a cluster, written before each change, so that a killed run can be undone later."""

from __future__ import annotations

import itertools
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from drainproof.errors import ApiError
from drainproof.journal.copy import ClusterCopy
from drainproof.journal.entries import CLOSE, ENDS, OPEN, VOID, Entry, Left, parsed, united
from drainproof.ownership import process_mark, who_am_i

log = logging.getLogger(__name__)

JOURNAL = "journal.jsonl"
LOCAL = ("kubeconfig", "context", "facts", "server")
"""What only this host can use, and nobody else need know."""


def _writer() -> str:
    return f"w{secrets.token_hex(4)}"


@dataclass(frozen=True)
class Journal:
    """The journal of one run: a file beside its record, and a copy in the cluster that it changes.

    What is about to be done is written to both, or raises and is not done: OSError when the disk takes it not, ApiError
    when the cluster does not. What has been undone is written where that is possible: undoing it again does no harm.
    """

    path: Path | None = None
    """None: there is no file, as on another machine than the run's."""
    copy: ClusterCopy | None = None
    """None: the cluster keeps none, as for a run of an older version."""
    writer: str = field(default_factory=_writer)
    """Tells the writers of one journal apart; each counts its own entries."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)
    _unwritten: list[Entry] = field(default_factory=list, repr=False)
    """What has been undone although no disk took it down."""

    @classmethod
    def of(cls, run_directory: Path, copy: ClusterCopy | None = None) -> Journal:
        return cls(run_directory / JOURNAL, copy)

    @property
    def run_id(self) -> str:
        if self.copy is not None:
            return self.copy.run_id
        return self.path.parent.name if self.path is not None else ""

    def opened(
        self, kubeconfig: str, context: str, *, lab: bool, control_namespace: str = "", facts: str = "",
        server: str = "",
    ) -> None:
        """The first entry: which cluster the run is on, and this process, which runs it.

        `server` is the cluster's URL, without which another might be taken for it. `facts` is the file of the
        target's facts, if there is one: how nodes are powered and storage is resumed.
        """
        process = psutil.Process()
        self._begin(
            OPEN, "", kubeconfig=kubeconfig, context=context, lab=lab, control_namespace=control_namespace, facts=facts,
            server=server, pid=process.pid, born=process.create_time(), process=process_mark(process.pid),
            host=socket.gethostname(), who=who_am_i(),
        )

    @property
    def opening(self) -> dict[str, Any]:
        """The first entry of a journal; empty when it has none."""
        return next((entry for entry in self.entries() if entry["do"] == OPEN), {})

    def namespace(self, name: str) -> None:
        """A namespace is about to be created."""
        self._begin("namespace", name)

    def deleted(self, name: str) -> None:
        """The namespace is gone, with all that was in it."""
        self._end("deleted", name)

    def cordon(self, node: str) -> None:
        """A node is about to be cordoned."""
        self._begin("cordon", node)

    def uncordoned(self, node: str) -> None:
        self._end("uncordoned", node)

    def taint(self, node: str, key: str) -> None:
        """A node is about to get a taint."""
        self._begin("taint", f"{node} {key}")

    def untainted(self, node: str, key: str) -> None:
        self._end("untainted", f"{node} {key}")

    def power_off(self, node: str) -> None:
        """A node is about to lose its power."""
        self._begin("power-off", node)

    def powered_on(self, node: str) -> None:
        self._end("powered-on", node)

    def storage_pause(self, storage_class: str) -> None:
        """The server of a storage class is about to be paused."""
        self._begin("storage-pause", storage_class)

    def storage_resumed(self, storage_class: str) -> None:
        self._end("storage-resumed", storage_class)

    def unpause(self, health_check: str, requests: list[str]) -> None:
        """A NodeHealthCheck is about to lose its pause requests, which are these."""
        self._begin("unpause", health_check, requests=requests)

    def paused_again(self, health_check: str) -> None:
        self._end("paused-again", health_check)

    def creating(self, path: str) -> None:
        """An object outside the run's namespaces is about to be created; `path` is its URL path."""
        self._begin("create", path)

    def removed(self, path: str) -> None:
        self._end("removed", path)

    def closed(self) -> None:
        """The run is over; what it has not undone by now stays to be undone."""
        self._end(CLOSE, "")

    def ended(self, kind: str, name: str) -> None:
        """What an entry of this kind was written for is undone."""
        self._end(ENDS[kind], name)

    def entries(self) -> list[Entry]:
        """The entries so far, of the file; unfinished lines are left out."""
        if self.path is None:
            return self.copy.entries() if self.copy is not None else []
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        return [entry for line in lines if (entry := parsed(line)) is not None]

    def all_entries(self) -> list[Entry]:
        """The entries of the file, of the cluster's copy and of what no disk took; raises ApiError if it is away."""
        kept = self.copy.entries() if self.copy is not None and self.path is not None else []
        return united(self.entries(), kept, self._unwritten)

    @property
    def left(self) -> Left:
        """What the run has changed and not undone, by its file."""
        return Left.of(self.entries())

    @property
    def left_anywhere(self) -> Left:
        """The same by the file, the cluster's copy and what no disk took; raises ApiError when the cluster is away."""
        return Left.of(self.all_entries())

    @property
    def cordoned(self) -> list[str]:
        """The nodes that the run has cordoned and not uncordoned."""
        return self.left.names("cordon")

    @property
    def tainted(self) -> list[tuple[str, str]]:
        """The nodes that the run has tainted and not freed, each with the taint's key."""
        return [(node, key) for node, _, key in (name.partition(" ") for name in self.left.names("taint"))]

    @property
    def without_power(self) -> list[str]:
        """The nodes that the run has powered off and not on again."""
        return self.left.names("power-off")

    @property
    def paused_storage(self) -> list[str]:
        """The storage classes whose server the run has paused and not resumed."""
        return self.left.names("storage-pause")

    @property
    def created(self) -> list[str]:
        """The URL paths of objects outside the run's namespaces that it has created and not removed."""
        return self.left.names("create")

    @property
    def unfinished(self) -> bool:
        """Whether the run did not come to its end, or left something behind when it did."""
        entries = self.entries()
        closed = any(entry["do"] == CLOSE for entry in entries)
        return bool(entries) and (not closed or bool(Left.of(entries)))

    def abandon(self) -> None:
        """Give up what is left: the cluster itself is taken down."""
        for kind, items in self.left.by_kind.items():
            for name in items:
                self.ended(kind, name)
        self.closed()

    def _begin(self, what: str, name: str, **facts: Any) -> None:
        entry = self._entry(what, name, **facts)
        self._write(entry)
        if self.copy is None:
            return
        try:
            self.copy.add(entry["id"], {key: value for key, value in entry.items() if key not in LOCAL})
        except BaseException:
            self._take_back(entry, self.copy)
            raise

    def _take_back(self, entry: Entry, copy: ClusterCopy) -> None:
        """The change is not made; else somebody's own cordon might be taken for it later."""
        void = {**self._entry(VOID, entry.get("name", "")), "id": entry["id"]}
        self._try("file", lambda: self._write(void))
        self._try("cluster", lambda: copy.add(f"{entry['id']}.{VOID}", void))

    def _end(self, what: str, name: str) -> None:
        entry, copy = self._entry(what, name), self.copy
        if not self._try("file", lambda: self._write(entry)):
            self._unwritten.append(entry)
        if copy is not None:
            self._try("cluster", lambda: copy.add(entry["id"], entry))

    def _entry(self, what: str, name: str, **facts: Any) -> Entry:
        named = {"name": name} if name else {}
        return {"do": what, **named, **facts, "id": f"{self.writer}.{next(self._numbers)}", "t": time.time_ns()}

    def _write(self, entry: Entry) -> None:
        """To the disk itself, in a line of its own whatever a full disk has left of the line before."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                whole = file.read(1) == b"\n"
            else:
                whole = True
            file.write(b"" if whole else b"\n")
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def _try(where: str, write: Callable[[], None]) -> bool:
        try:
            write()
        except (OSError, ApiError) as error:
            log.warning("the journal in the %s could not be brought up to date: %s", where, error)
            return False
        return True
