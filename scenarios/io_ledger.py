"""The ledger of writes: a guest writes numbered records on a schedule, and what its disk acknowledged is kept outside.

The acknowledgements leave the guest at once and stand in the record, so that they are independent of the disk that
they are about. What the disk holds is read back later and stands beside them; nothing here compares the two.
"""

from __future__ import annotations

import secrets
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from drainproof.errors import DrainproofError
from drainproof.record import EventLog
from drainproof.wait import Deadline, wait
from scenarios.bench import BenchError, Guest, Line, as_object

SOURCE = "io-ledger"
"""The source of its events: begin, writes, waiting, end, verified."""
TOLD_SECONDS = 5.0
"""How much time goes into one event of the record."""
END_SECONDS = 30.0
COLUMNS = ("seq", "intended", "submitted", "completed", "own", "arrived")
"""Of each write: its number; by the guest's clock when it was meant for, given to the disk and acknowledged, and for
how long of that the guest itself did not run; when the client was told."""
MARGIN = 64
"""So many records beyond the last acknowledged one are read back too: the disk may hold what it never acknowledged."""


@dataclass
class _Chunk:
    """Writes on their way into the record: columns, in microseconds since the session began."""

    begun_ns: int = field(default_factory=time.monotonic_ns)
    columns: dict[str, list[int]] = field(
        default_factory=lambda: {name: [] for name in COLUMNS}
    )
    refused: dict[int, int] = field(default_factory=dict)
    """The error number of each write that the disk did not take."""

    @property
    def full(self) -> bool:
        return time.monotonic_ns() - self.begun_ns > TOLD_SECONDS * 1e9


@dataclass
class IoLedger:
    """The ledger of one guest's data disk, through one session or several; no record is ever written twice."""

    guest: Guest
    events: EventLog
    rate: float
    """Writes per second."""
    room: int
    """How many records fit."""
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    """What this ledger's records are told by from those of any other."""
    next: int = 0
    """The record that is written next."""
    last_ns: int = 0
    """When the last acknowledgement arrived."""
    acknowledged: int = 0
    """How many have arrived in this session."""
    _session: int = 0
    _client: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None
    _begin: Line | None = None
    _end: str = ""

    def open(self, deadline: Deadline) -> None:
        """Have the guest write; raises BenchError when it does not begin to."""
        if self._client is not None:
            raise BenchError(f"the ledger of {self.guest.vm} is open already; close it first")
        self._session += 1
        self._begin, self._end, self.acknowledged = None, "", 0
        wish = ("write", self.nonce, str(self.next), str(self.room), f"{self.rate:g}")
        self._client = self.guest.ask(*wish, connect_seconds=deadline.remaining)
        self._reader = threading.Thread(target=self._read, args=(self._client,), name="io-ledger", daemon=True)
        self._reader.start()
        try:
            wait(
                f"the disk of {self.guest.vm} acknowledges writes", lambda: self.acknowledged,
                until=lambda count: count > 0, never=lambda count: not count and self._has_ended, deadline=deadline,
                describe=lambda count: self._end or f"{count} acknowledged",
            )
        except DrainproofError:
            self.close(Deadline(END_SECONDS))
            raise

    @property
    def is_open(self) -> bool:
        return self._client is not None

    def check_alive(self) -> None:
        """Raises BenchError when the guest writes no more although nobody ended it."""
        if self._has_ended and self.next >= self.room:
            raise BenchError(
                f"the ledger of {self.guest.vm} is full: all of its {self.room} records are written; raise "
                "storage.ledger_seconds"
            )
        if self._has_ended:
            raise BenchError(f"the ledger of {self.guest.vm} ended by itself: {self._end or 'without a word'}")

    @property
    def silent_seconds(self) -> float:
        """For how long no acknowledgement has arrived."""
        return (time.monotonic_ns() - self.last_ns) / 1e9

    def close(self, deadline: Deadline) -> None:
        """Have the guest write no more, and wait until all its acknowledgements are in the record."""
        client, reader = self._client, self._reader
        if client is None or reader is None:
            return
        assert client.stdin is not None
        try:
            client.stdin.close()
            reader.join(max(deadline.remaining, 1.0))
        finally:
            client.kill()
            client.wait()
            reader.join()
            if client.stdout:
                client.stdout.close()
            self._client = self._reader = None
            orderly = self._end.startswith("end ")
            self.events.add(
                SOURCE, "end", self.guest.vm, session=self._session, acknowledged=self.acknowledged,
                orderly=orderly, next=self.next if orderly else None, reason="" if orderly else self._end[:300],
            )

    def verify(self, guest: Guest, deadline: Deadline) -> dict[str, Any]:
        """Read back what a disk holds of this ledger: that of its own guest, or that of a clone.

        Raises BenchError when that guest does not tell.
        """
        count = min(self.next + MARGIN, self.room)
        line = guest.told("verify", self.nonce, str(count), deadline=deadline)[-1]
        found = as_object(guest.vm, line.text)
        of = "" if guest.vm == self.guest.vm else self.guest.vm
        self.events.add(SOURCE, "verified", guest.vm, nonce=self.nonce, source=of, **found)
        return found

    @property
    def _has_ended(self) -> bool:
        return self._reader is not None and not self._reader.is_alive()

    def _read(self, client: subprocess.Popen[str]) -> None:
        """Take in what the guest says until it ends; each few seconds of it become an event."""
        assert client.stdout is not None
        chunk = _Chunk()
        for printed in client.stdout:
            try:
                self._take(Line.of(printed), chunk)
            except (ValueError, IndexError):
                self._end = f"a line that is none of the ledger's: {printed[:100]!r}"
                break
            if chunk.full:
                self._keep(chunk)
                chunk = _Chunk()
        self._keep(chunk)

    def _take(self, line: Line, chunk: _Chunk) -> None:
        words = line.text.split()
        if words[0] == "begin":
            self._begin = Line(line.arrived_ns, words[2])
            self.events.add_at(
                line.arrived_ns, SOURCE, "begin", self.guest.vm, session=self._session, nonce=self.nonce,
                first=self.next, period_s=1 / self.rate, boot_id=words[1],
            )
        elif words[0] in ("a", "f") and self._begin:
            self._write(words, line.arrived_ns, self._begin, chunk)
        elif words[0] == "h" and self._begin:
            self._waiting(words, line.arrived_ns, self._begin)
        else:
            self._end = line.text

    def _write(self, words: Sequence[str], arrived_ns: int, begin: Line, chunk: _Chunk) -> None:
        seq, *moments, own = (int(word) for word in words[1:6])
        since = [(moment - int(begin.text)) // 1000 for moment in moments]
        since += [own // 1000, (arrived_ns - begin.arrived_ns) // 1000]
        for column, value in zip(chunk.columns.values(), (seq, *since), strict=True):
            column.append(value)
        self.next = seq + 1
        if words[0] == "f":
            chunk.refused[seq] = int(words[6])
        else:
            self.acknowledged += 1
            self.last_ns = arrived_ns

    def _waiting(self, words: Sequence[str], arrived_ns: int, begin: Line) -> None:
        """A write that the disk has had for long: it may never be told of otherwise."""
        seq, _, submitted, told, own = (int(word) for word in words[1:6])
        self.events.add_at(
            arrived_ns, SOURCE, "waiting", self.guest.vm, session=self._session, seq=seq,
            submitted_us=(submitted - int(begin.text)) // 1000, told_us=(told - int(begin.text)) // 1000,
            own_us=own // 1000,
        )

    def _keep(self, chunk: _Chunk) -> None:
        if chunk.columns["seq"]:
            refused = {str(seq): code for seq, code in chunk.refused.items()}
            self.events.add(
                SOURCE, "writes", self.guest.vm, session=self._session, us=chunk.columns, refused=refused
            )
