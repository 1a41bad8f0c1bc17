"""The ledger knows what is certain about each write: acknowledged, certainly not committed, or neither."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pymysql
import pytest
from pymysql.constants import CR, ER

from drainproof.record import Outcome
from drainproof.record.spool import NO_KEY, Spool
from load.ledger import KEYS_PER_WRITER, Writer
from load.recorder import Recorder
from load.schedule import SECOND, Schedule
from load.sql import GALERA_NOT_READY, outcome_of
from tests.unit.load.rows import rows_of

FIRST = 2 * KEYS_PER_WRITER


class FakeClock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class Stop(threading.Event):
    """Passes the time that is waited for, and stops after a number of waits."""

    def __init__(self, clock: FakeClock, waits: int) -> None:
        super().__init__()
        self._clock, self._waits = clock, waits

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now_ns += round((timeout or 0) * SECOND)
        self._waits -= 1
        return self._waits < 0


class FakeDatabase:
    """One member: what it stores, what it answers next, and how long that takes."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.rows: list[tuple[Any, ...]] = []
        self.stored = 0
        self.trouble: dict[int, Exception] = {}
        self.refusals: list[Exception] = []
        self.seconds: dict[int, float] = {}
        self.opened = 0
        self.writes = 0

    def open(self) -> FakeDatabase:
        self.opened += 1
        if self.refusals:
            raise self.refusals.pop()
        return self

    def cursor(self) -> FakeDatabase:
        return self

    def execute(self, query: str, args: Any = None) -> int:
        if query.startswith("SELECT MAX(seq)"):
            assert f"BETWEEN {FIRST} AND {FIRST + KEYS_PER_WRITER - 1}" in query
            return 1
        assert query.startswith("INSERT INTO ledger")
        self.writes += 1
        self.clock.now_ns += round(self.seconds.get(self.writes, 0.01) * SECOND)
        if self.writes in self.trouble:
            raise self.trouble[self.writes]
        self.rows.append(args)
        return 1

    def fetchall(self) -> Sequence[Sequence[Any]]:
        return [(self.stored or None,)]

    def close(self) -> None:
        """Also the cursor's."""


class Bench:
    """A writer, the second of two, with its database."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.database = FakeDatabase(self.clock)
        self.recorder = Recorder([Spool.create(["sql/a", "sql/b"], keyed=True, capacity=16)], 0)
        self.writer = Writer(2, "b", "run-1", self.recorder, self.database.open)

    def run(self, writes: int) -> list[tuple[int, ...]]:
        self.writer.run(Schedule(SECOND, SECOND), Stop(self.clock, writes), self.clock)
        return self.rows()

    def rows(self) -> list[tuple[int, ...]]:
        return rows_of(self.recorder.spools[0])


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_each_acknowledged_write_is_a_success_under_its_own_key(bench: Bench) -> None:
    rows = bench.run(3)
    assert [(row[0], row[4], row[5]) for row in rows] == [(1, Outcome.OK, FIRST + n) for n in (1, 2, 3)]
    assert [args[:3] for args in bench.database.rows] == [(FIRST + n, "b", n) for n in (1, 2, 3)]
    assert len({args[3] for args in bench.database.rows}) == 3
    assert all(len(args[3]) == 32 for args in bench.database.rows)


def test_keys_go_on_after_those_of_an_earlier_run(bench: Bench) -> None:
    bench.database.stored = 41
    assert [row[5] for row in bench.run(2)] == [FIRST + 42, FIRST + 43]


def test_a_slow_write_makes_the_next_late_and_no_burst(bench: Bench) -> None:
    bench.database.seconds = {1: 3.5}
    rows = bench.run(3)
    assert [(row[1], row[2]) for row in rows] == [
        (1 * SECOND, 1 * SECOND), (2 * SECOND, 4_500_000_000), (5 * SECOND, 5 * SECOND),
    ]


def test_a_lost_connection_leaves_the_write_open_and_is_replaced(bench: Bench) -> None:
    bench.database.trouble = {2: pymysql.err.OperationalError(CR.CR_SERVER_LOST, "Lost connection during query")}
    rows = bench.run(3)
    assert [(row[4], row[5]) for row in rows] == [
        (Outcome.OK, FIRST + 1), (Outcome.INDETERMINATE, FIRST + 2), (Outcome.OK, FIRST + 3),
    ]
    assert bench.database.opened == 2


def test_without_a_connection_nothing_was_written(bench: Bench) -> None:
    bench.database.refusals = [pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, "Can't connect")]
    rows = bench.run(2)
    assert [(row[4], row[5]) for row in rows] == [(Outcome.ERROR, NO_KEY), (Outcome.OK, FIRST + 1)]
    assert "before the write" in bench.recorder.failures[0].reason


def test_a_write_under_way_at_the_stop_is_indeterminate_and_counted_once(bench: Bench) -> None:
    answers = threading.Event()
    asked = threading.Event()

    def slow(query: str, args: Any = None) -> int:
        if query.startswith("INSERT"):
            asked.set()
            answers.wait(5)
        return 1

    bench.database.execute = slow  # type: ignore[method-assign]
    thread = threading.Thread(target=bench.run, args=(1,))
    thread.start()
    assert asked.wait(5)
    bench.writer.abandon(9 * SECOND)
    answers.set()
    thread.join()
    assert [(row[4], row[5]) for row in bench.rows()] == [(Outcome.INDETERMINATE, FIRST + 1)]


def test_abandoning_an_idle_writer_counts_nothing(bench: Bench) -> None:
    bench.run(1)
    bench.writer.abandon(9 * SECOND)
    assert len(bench.rows()) == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (pymysql.err.OperationalError(ER.LOCK_DEADLOCK, "certification conflict"), Outcome.ERROR),
        (pymysql.err.OperationalError(ER.LOCK_WAIT_TIMEOUT, "lock wait timeout"), Outcome.ERROR),
        (pymysql.err.InternalError(GALERA_NOT_READY, "WSREP has not yet prepared node"), Outcome.ERROR),
        (pymysql.err.OperationalError(CR.CR_SERVER_GONE_ERROR, "gone away"), Outcome.ERROR),
        (pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, "can't connect"), Outcome.ERROR),
        (pymysql.err.IntegrityError(ER.DUP_ENTRY, "duplicate"), Outcome.ERROR),
        (pymysql.err.ProgrammingError(ER.NO_SUCH_TABLE, "no such table"), Outcome.ERROR),
        (pymysql.err.OperationalError(CR.CR_SERVER_LOST, "timed out"), Outcome.INDETERMINATE),
        (pymysql.err.OperationalError(ER.ERROR_DURING_COMMIT, "error during commit"), Outcome.INDETERMINATE),
        (pymysql.err.OperationalError(ER.SERVER_SHUTDOWN, "shutdown"), Outcome.INDETERMINATE),
        (pymysql.err.InterfaceError(0, ""), Outcome.INDETERMINATE),
        (ConnectionResetError(104, "reset"), Outcome.INDETERMINATE),
    ],
)
def test_only_what_excludes_a_commit_is_an_error(error: pymysql.MySQLError | OSError, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome
