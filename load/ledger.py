"""The ledger: a writer per member inserts rows with unique keys at a constant rate and keeps what was acknowledged.

A writer has one write under way at a time, on one connection unless the network ends kept ones by design. A write that
became due meanwhile is sent late, never in a burst.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import pymysql

from drainproof.record import Outcome
from drainproof.record.spool import NO_KEY
from drainproof.wait import Deadline
from load.observer import Observer, observing, ready, rest, run
from load.plan import Machine, Plan, sql_password
from load.priority import Priority
from load.recorder import Recorder
from load.schedule import SECOND, Schedule, stagger
from load.sql import Connection, connect, execute, outcome_of, reason_of

NAME = "ledger"
KEYS_PER_WRITER = 10**12
LEAD_NS = SECOND // 2
LAST_ANSWER_SECONDS = 1.5
"""How long a stopped ledger waits for the answers to what it has sent."""
INSERT = "INSERT INTO ledger (id, writer, seq, payload) VALUES (%s, %s, %s, %s)"
FAULTS = (pymysql.MySQLError, OSError)


def streams_of(plan: Plan) -> dict[str, float]:
    """The ledger's streams with their rates per second."""
    return {f"sql/{machine.name}": plan.load.sql_rate for machine in plan.portal.vms}


class Writer:
    """Writes through one member; `index` counts from 1 and gives the writer its range of keys."""

    def __init__(
        self, index: int, name: str, run_id: str, recorder: Recorder, open_: Callable[[], Connection], *,
        keep: bool = True,
    ) -> None:
        self._stream = index - 1
        self._first_key = index * KEYS_PER_WRITER
        self._name = name
        self._run_id = run_id
        self._recorder = recorder
        self._open = open_
        self._keep = keep
        self._connection: Connection | None = None
        self._sequence: int | None = None
        self._under_way: tuple[int, int, int] | None = None

    def run(self, schedule: Schedule, stop: threading.Event, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Write whenever a write is due, until told to stop."""
        while not stop.wait(max(0, schedule.due_ns - clock()) / 1e9):
            start = clock()
            intended = schedule.take(start)
            self._under_way = (intended, start, NO_KEY)
            outcome, key, reason = self._write(intended, start)
            self._end(clock(), outcome, key, reason)
            if not self._keep:
                self._drop()
        self._drop()

    def abandon(self, now_ns: int) -> None:
        """Count a write that is still under way as indeterminate; its answer, if one comes, is no longer counted."""
        self._end(now_ns, Outcome.INDETERMINATE, NO_KEY, "the ledger was stopped while the write was under way")

    def _end(self, now_ns: int, outcome: Outcome, key: int, reason: str) -> None:
        with self._recorder.one_at_a_time:
            under_way, self._under_way = self._under_way, None
            if under_way is not None:
                intended, start, sent_key = under_way
                key = sent_key if key == NO_KEY else key
                self._recorder.done(self._stream, intended, start, now_ns, outcome, key=key, reason=reason)

    def _write(self, intended: int, start: int) -> tuple[Outcome, int, str]:
        try:
            connection = self._connected()
            sequence = self._next_sequence(connection)
        except FAULTS as error:
            self._drop()
            return Outcome.ERROR, NO_KEY, f"before the write: {reason_of(error)}"
        self._sequence = sequence
        key = self._first_key + sequence
        self._under_way = (intended, start, key)
        try:
            cursor = connection.cursor()
            cursor.execute(INSERT, (key, self._name, sequence, self._payload(key)))
            cursor.close()
        except FAULTS as error:
            self._drop()
            return outcome_of(error), key, reason_of(error)
        return Outcome.OK, key, ""

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _next_sequence(self, connection: Connection) -> int:
        """The number after the last one used; at first after the last one stored: an earlier run may have written."""
        if self._sequence is not None:
            return self._sequence + 1
        first, last = self._first_key, self._first_key + KEYS_PER_WRITER - 1
        stored = execute(connection, f"SELECT MAX(seq) FROM ledger WHERE id BETWEEN {first} AND {last}")[0][0]
        return 1 + int(stored or 0)

    def _payload(self, key: int) -> str:
        return hashlib.blake2b(f"{self._run_id}/{key}".encode(), digest_size=16).hexdigest()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAULTS):
                connection.close()


def main(plan: Plan) -> int:
    """Write until SIGTERM."""
    password = sql_password()
    rates = streams_of(plan)
    with observing(NAME, plan, list(rates), rates=rates, priority=Priority.RAISED, keyed=True) as observer:
        writers = [_writer(observer, index, machine, password) for index, machine in enumerate(plan.portal.vms, 1)]
        schedules = stagger(time.monotonic_ns() + LEAD_NS, list(rates.values()))
        threads = [
            threading.Thread(target=writer.run, args=(schedule, observer.stop), daemon=True)
            for writer, schedule in zip(writers, schedules, strict=True)
        ]
        for thread in threads:
            thread.start()
        ready(observer)
        rest(observer)
        _finish(writers, threads)
    return 0


def _writer(observer: Observer, index: int, machine: Machine, password: str) -> Writer:
    plan = observer.plan
    return Writer(
        index, machine.name, plan.run_id, observer.recorder, lambda: connect(plan, machine.address, password),
        keep=not plan.load.new_connections_only,
    )


def _finish(writers: Sequence[Writer], threads: Sequence[threading.Thread]) -> None:
    deadline = Deadline(LAST_ANSWER_SECONDS)
    for thread in threads:
        thread.join(deadline.remaining)
    for writer in writers:
        writer.abandon(time.monotonic_ns())


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
