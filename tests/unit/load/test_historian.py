"""The historian keeps what is certain: done, certainly not done, or neither; and goes on whatever a member does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pymysql
import pytest
from pymysql.constants import CR, ER

from drainproof.record import Act, Case, CaseReader, EventLog, HistoryWriter, Outcome, Step, read_events
from drainproof.record.history import PLAIN, SYNC
from load import historian
from load.historian import Chronicle, Client
from load.observer import Observer, observing
from load.plan import PASSWORD_VARIABLE, Machine, Plan
from load.schedule import SECOND, Schedule
from load.sessions import Attempt, Session, TooLateError
from load.sql import GALERA_NOT_READY
from load.workloads import Transaction
from load.workloads import setup as setting_up
from tests.unit.load.conftest import plan_data

PROJECT = Path(__file__).resolve().parents[3]
LOST = pymysql.err.OperationalError(CR.CR_SERVER_LOST, "Lost connection during query")
DEADLOCK = pymysql.err.OperationalError(ER.LOCK_DEADLOCK, "certification conflict")
NOT_READY = pymysql.err.OperationalError(GALERA_NOT_READY, "WSREP has not yet prepared node")
REFUSED = pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, "Can't connect")
DUPLICATE = pymysql.err.IntegrityError(ER.DUP_ENTRY, "Duplicate entry")

BUMP = Transaction("counter", (Step(Act.BUMP, 1),), explicit=True)
ADD = Transaction("set", (Step(Act.ADD, value=5),))
GET = Transaction("register", (Step(Act.GET, 1),), SYNC)


class FakeMember:
    """One member: fails statements that begin with a word as it was told to, else answers with the number 1."""

    def __init__(self, **trouble: Exception) -> None:
        self.trouble: dict[str, Exception] = dict(trouble)
        self.asked: list[str] = []
        self.refusals: list[Exception] = []
        self.opened = self.closed = 0
        self.before: Callable[[str], None] = lambda query: None
        self._found: list[Sequence[Any]] = []

    def open(self) -> FakeMember:
        self.opened += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return self

    def cursor(self) -> FakeMember:
        return self

    def execute(self, query: str, args: Any = None) -> int:
        self.before(query)
        self.asked.append(query)
        if error := self.trouble.pop(query.split(" ", 1)[0], None):
            raise error
        if query.startswith("SHOW"):
            self._found = [("tx_isolation", "REPEATABLE-READ")]
        else:
            self._found = [("8", "800")] if "SUM" in query else [("1",)]
        return 1

    def fetchall(self) -> Sequence[Sequence[Any]]:
        return self._found

    def close(self) -> None:
        """Also the cursor's."""
        self.closed += 1


def attempt(transaction: Transaction, member: FakeMember) -> tuple[Outcome, Attempt, Session]:
    session, one = Session(1, member), Attempt(transaction, 1, 0)
    return session.attempt(one), one, session


def test_a_transaction_that_went_well_carries_what_it_saw() -> None:
    member = FakeMember()
    outcome, one, session = attempt(BUMP, member)
    assert (outcome, one.acts, session.lost) == (Outcome.OK, (Step(Act.BUMP, 1, 2),), "")
    assert [query.split(" ")[0] for query in member.asked] == ["SET", "START", "SELECT", "UPDATE", "COMMIT"]


@pytest.mark.parametrize(
    ("transaction", "trouble", "outcome"),
    [
        (BUMP, {"SELECT": LOST}, Outcome.ERROR),
        (BUMP, {"UPDATE": LOST}, Outcome.ERROR),
        (BUMP, {"COMMIT": LOST}, Outcome.INDETERMINATE),
        (BUMP, {"COMMIT": DEADLOCK}, Outcome.ERROR),
        (BUMP, {"COMMIT": pymysql.err.OperationalError(ER.ERROR_DURING_COMMIT, "?")}, Outcome.INDETERMINATE),
        (ADD, {"SET": LOST}, Outcome.ERROR),
        (ADD, {"INSERT": LOST}, Outcome.INDETERMINATE),
        (ADD, {"INSERT": NOT_READY}, Outcome.ERROR),
        (ADD, {"INSERT": DUPLICATE}, Outcome.INDETERMINATE),
        (GET, {"SELECT": LOST}, Outcome.ERROR),
    ],
)
def test_what_may_have_been_applied_is_left_open(
    transaction: Transaction, trouble: dict[str, Exception], outcome: Outcome
) -> None:
    assert attempt(transaction, FakeMember(**trouble))[0] is outcome


def test_a_conflict_is_rolled_back_and_the_session_goes_on() -> None:
    member = FakeMember(UPDATE=DEADLOCK)
    _, one, session = attempt(BUMP, member)
    assert (session.lost, member.asked[-1]) == ("", "ROLLBACK")
    assert one.acts == BUMP.steps


@pytest.mark.parametrize("trouble", [{"UPDATE": LOST}, {"UPDATE": DEADLOCK, "ROLLBACK": LOST}])
def test_a_lost_connection_ends_the_session(trouble: dict[str, Exception]) -> None:
    member = FakeMember(**trouble)
    assert "Lost connection" in attempt(BUMP, member)[2].lost
    assert "COMMIT" not in member.asked


def test_the_level_is_set_when_it_changes() -> None:
    member = FakeMember()
    session = Session(1, member)
    for transaction in (GET, GET, ADD):
        session.attempt(Attempt(transaction, 1, 0))
    assert [query for query in member.asked if query.startswith("SET")] == ["SET SESSION wsrep_sync_wait = %s"] * 2


@pytest.mark.parametrize(("transaction", "word"), [(BUMP, "UPDATE"), (BUMP, "COMMIT"), (ADD, "SET"), (ADD, "INSERT")])
def test_a_transaction_that_is_given_up_either_was_sent_or_never_will_be(transaction: Transaction, word: str) -> None:
    member, said = FakeMember(), []
    one = Attempt(transaction, 1, 0)
    member.before = lambda query: said.append(one.give_up()) if query.startswith(word) else None
    try:
        Session(1, member).attempt(one)
    except TooLateError:
        assert said == [Outcome.ERROR]
        assert not {"COMMIT", "INSERT"} & {query.split(" ")[0] for query in member.asked}
    else:
        assert said == [Outcome.INDETERMINATE]


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
        self.waited: list[float] = []
        self._clock, self._waits = clock, waits

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0)
        self._clock.now_ns += round((timeout or 0) * SECOND)
        return len(self.waited) > self._waits


class Bench:
    """The client of the second of three members, with its history and its events."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        machines = tuple(Machine(name=name, address=name) for name in "abc")
        plan = plan.model_copy(update={"portal": plan.portal.model_copy(update={"vms": machines})})
        self.clock = FakeClock()
        self.member = FakeMember()
        self.path, self.events = directory / "history.arrow", directory / "events.jsonl"
        self.writer = HistoryWriter(self.path)
        self.chronicle = Chronicle(self.writer, EventLog(self.events))
        self.client = Client(1, plan, self.chronicle, self.member.open, self.clock)

    def run(self, turns: int) -> list[dict[str, Any]]:
        self.stop = Stop(self.clock, turns)
        self.client.run(Schedule(SECOND, SECOND), self.stop)
        return self.rows()

    def rows(self) -> list[dict[str, Any]]:
        self.writer.close()
        with pa.OSFile(str(self.path), "rb") as file, pa.ipc.open_stream(file) as stream:
            rows: list[dict[str, Any]] = stream.read_all().to_pylist()
        return rows

    def told(self) -> list[tuple[str, str, Any]]:
        return [(event.kind, event.object, event.data.get("session")) for event in read_events(self.events)]


@pytest.fixture
def bench(plan: Plan, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(plan, tmp_path)
    yield bench
    bench.chronicle.events.close()


def test_a_client_takes_its_turn_in_every_slot(bench: Bench) -> None:
    rows = bench.run(10)
    # In the first register slot another member writes, whose session has not begun.
    assert [row["workload"] for row in rows] == [
        "append", "bank", "set", "counter", "append", "bank", "set", "register", "register", "counter",
    ]
    assert {(row["member"], row["session"], row["outcome"], row["final"]) for row in rows} == {("b", 1, 0, False)}
    assert [row["start_ns"] // SECOND for row in rows] == [1, 2, 3, 5, 6, 7, 8, 9, 9, 10]
    assert all(row["start_ns"] % SECOND < SECOND // 4 for row in rows)
    assert len({row["op"] for row in rows}) == len(rows)
    assert {row["level"] for row in rows} == {SYNC, PLAIN}


def test_after_a_lost_connection_it_pauses_and_goes_on_as_another_session(bench: Bench) -> None:
    bench.member.trouble = {"INSERT": LOST, "START": LOST, "SELECT": LOST}
    rows = bench.run(12)
    sessions = [row["session"] for row in rows]
    assert sessions == sorted(sessions)
    assert sessions[-1] == 4
    assert [kind for kind, _, _ in bench.told()] == ["session", "lost"] * 3 + ["session"]
    assert all(pause >= 1.0 for pause in bench.stop.waited[1:4])


def test_a_member_that_is_away_is_named_once_and_asked_again_without_a_burst(bench: Bench) -> None:
    bench.member.refusals = [REFUSED] * 5
    rows = bench.run(8)
    assert bench.told() == [("away", "b", None), ("session", "b", 1)]
    assert bench.member.opened == 6
    assert all(pause >= 1.0 for pause in bench.stop.waited[1:6])
    assert rows
    assert {row["session"] for row in rows} == {1}


def test_a_transaction_under_way_at_the_stop_is_kept_once(bench: Bench) -> None:
    asked, answers = threading.Event(), threading.Event()

    def slow(query: str) -> None:
        if query == "COMMIT":
            asked.set()
            answers.wait(5)

    bench.member.before = slow
    thread = threading.Thread(target=bench.client.run, args=(Schedule(SECOND, SECOND), Stop(bench.clock, 2)))
    thread.start()
    assert asked.wait(5)
    bench.client.abandon()
    answers.set()
    thread.join()
    assert [row["outcome"] for row in bench.rows()] == [Outcome.OK, Outcome.INDETERMINATE]


def test_nothing_is_begun_once_the_history_has_ended(bench: Bench) -> None:
    bench.client.abandon()
    assert bench.run(5) == []
    assert bench.member.asked == []
    assert bench.told() == []


def prepare(plan: Plan, monkeypatch: pytest.MonkeyPatch, members: dict[str, FakeMember]) -> tuple[bool, CaseReader]:
    machines = tuple(Machine(name=name, address=name) for name in members)
    plan = plan.model_copy(update={"portal": plan.portal.model_copy(update={"vms": machines})})
    monkeypatch.setattr(setting_up, "connect", lambda _plan, address, _password: members[address].open())
    monkeypatch.setattr(historian, "BACK_OFF_SECONDS", 0.01)
    case = Case(plan.case_dir)
    observer = Observer("historian", plan, case, None, threading.Event())  # type: ignore[arg-type]
    done = historian.prepared(observer, "secret")
    case.close()
    return done, CaseReader(plan.case_dir)


def test_tables_are_made_on_one_member_and_seen_on_every_other(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"a": FakeMember(), "b": FakeMember()}
    done, case = prepare(plan, monkeypatch, members)
    assert done
    assert sum(query.startswith("CREATE TABLE IF NOT EXISTS") for query in members["a"].asked) == 5
    assert not any(query.startswith("CREATE") for query in members["b"].asked)
    assert members["b"].asked[0] == "SET SESSION wsrep_sync_wait = 1"
    (setup,) = case.events("historian", "setup")
    assert (setup.data["accounts"], setup.data["total"], setup.data["isolation"]) == (8, 800, "REPEATABLE-READ")
    assert set(setup.data["rows"]) == {"a", "b"}


def test_setting_up_is_tried_again_on_the_next_member(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = FakeMember()
    broken.refusals = [REFUSED, REFUSED]
    done, case = prepare(plan, monkeypatch, {"a": broken, "b": FakeMember()})
    assert done
    (failed,) = case.events("historian", "setup-failed")
    assert (failed.object, "Can't connect" in failed.data["reason"]) == ("a", True)


def test_the_history_of_a_run_is_on_disk_and_the_tally_says_how_much(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan.model_copy(update={"load": plan.load.model_copy(update={"history_rate": 200.0})})
    monkeypatch.setattr(historian, "connect", lambda *_, **__: FakeMember())
    monkeypatch.setattr(historian, "LEAD_NS", 0)
    with observing("historian", plan, ()) as observer:
        stopper = threading.Timer(0.6, observer.stop.set)
        stopper.start()
        assert historian.keep(observer, "secret")
    case = Case(plan.case_dir)
    case.merge_history()
    case.close()
    reader = CaseReader(plan.case_dir)
    history = reader.history()
    (tally,) = reader.events("historian", "tally")
    assert tally.data["operations"] == len(history) > 0
    assert sum(tally.data["outcomes"].values()) == len(history)
    assert tally.data["highest"]["register"] == 1


def test_clients_that_end_because_of_a_stop_have_not_died(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stop may come at any moment, also after the wait for it and before the look at the clients."""
    plan = plan.model_copy(update={"load": plan.load.model_copy(update={"history_rate": 200.0})})
    monkeypatch.setattr(historian, "connect", lambda *_, **__: FakeMember())
    monkeypatch.setattr(historian, "STATUS_SECONDS", 0.05)
    with observing("historian", plan, ()) as observer:

        def stop_meanwhile(_: HistoryWriter) -> None:
            observer.stop.set()
            for thread in threading.enumerate():
                if getattr(getattr(thread, "_target", None), "__self__", None).__class__ is Client:
                    thread.join()

        monkeypatch.setattr(HistoryWriter, "flush", stop_meanwhile)
        assert historian.keep(observer, "secret")


@pytest.mark.parametrize("rate", [0.0, 5.0])
def test_it_stops_at_once_even_when_no_member_has_ever_answered(tmp_path: Path, rate: float) -> None:
    data = plan_data(tmp_path / "case", 80, history_rate=rate)
    data["portal"]["sql_port"] = 1
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(data))
    process = subprocess.Popen(
        [sys.executable, "-m", "load.historian", str(path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, PASSWORD_VARIABLE: "x"},
    )
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    # Without a history it is ready at once; before the tables are made it is not, and says why.
    assert first["kind"] == ("status" if rate else "ready")
    begun = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert time.monotonic() - begun < 10
    kinds = [event.kind for event in CaseReader(tmp_path / "case").events("historian")]
    assert kinds == ["start", *(["setup-failed"] if rate else []), "stop"]
