"""The claims about consistency pass, fail and are unknown, each for its own reasons."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drainproof.expectation import Expectation
from drainproof.record import Act, Case, Operation, Outcome, Step
from drainproof.record.history import table_of, write_history
from reports.checks import CHECKS, behaviour, consistency
from reports.evidence import Evidence
from reports.verdict import Claim, Verdict, guarded
from tests.unit.consistency import plants
from tests.unit.consistency.plants import PLANTS, Plant, X, op
from tests.unit.consistency.world import ACCOUNTS, SECOND, TOTAL, World
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.stopwatch_records import Watched
from tests.unit.reports.timeline import BEGIN, END, VMS, at

APPEND, BANK, SET, SESSION = (claimed.id for claimed in consistency.CLAIMS)
BEHAVIOUR = behaviour.ID
WORKLOADS = {APPEND: "append", BANK: "bank", SET: "set", SESSION: "register"}
RATE = 10.0
LAST_TICK_NS = 540 * SECOND
"""No clean history lasts longer."""


@dataclass
class Run:
    """A record with a history, to be spoiled before it is judged."""

    record: Record
    histories: dict[str, list[Operation]]
    kept: int | None = None
    """How many operations the historian says it kept; as many as there are if it is not changed."""
    extra: list[Operation] = field(default_factory=list)

    @property
    def operations(self) -> list[Operation]:
        """All operations, numbered through, with the world's ticks laid over the window."""
        found = [one for history in self.histories.values() for one in history] + self.extra
        return [
            replace(one, op=one.op if one.op > 900 else number + 10_000, start_ns=_moment(one.start_ns),
                    end_ns=_moment(one.end_ns))
            for number, one in enumerate(found)
        ]


def _moment(t_ns: int) -> int:
    """From the simulated world's ticks to the record's clock: all over the window, what is planted close to its end.

    The audit comes after the end.
    """
    if t_ns >= plants.AUDIT_NS:
        return at(END + 3) + t_ns % SECOND
    return BEGIN + min(t_ns, LAST_TICK_NS) // 18 + max(0, t_ns - LAST_TICK_NS) // 1000


@pytest.fixture
def run() -> Run:
    """A record whose history is clean, at the promised rate."""
    record = good_record()
    record.watched = Watched()
    record.settings["load"] |= {"history_rate": RATE}
    histories = {
        workload: World(random.Random(2 * number), strict=True).history(workload, 200)
        for number, workload in enumerate(("append", "bank", "set", "register", "counter"))
    }
    for workload, history in histories.items():
        histories[workload] = [
            replace(one, start_ns=plants.AUDIT_NS, end_ns=plants.AUDIT_NS) if one.final else one for one in history
        ]
    tables = {"lists": 0, "elements": 0, "registers": 0, "accounts": ACCOUNTS, "counters": 3}
    settings = {"transaction_isolation": "REPEATABLE-READ", "innodb_flush_log_at_trx_commit": "1"}
    record.event(
        -3, "historian", "setup", accounts=ACCOUNTS, total=TOTAL, isolation="REPEATABLE-READ",
        rows=dict.fromkeys(VMS, tables), settings=dict.fromkeys(VMS, settings),
    )
    return Run(record, histories)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[[Run, str], Claim]:
    """Writes a record with its history and judges one claim of it."""

    def judge(run: Run, wanted: str) -> Claim:
        operations = run.operations
        kept = run.kept if run.kept is not None else sum(not one.final for one in operations)
        run.record.event(END + 1, "historian", "tally", operations=kept)
        directory = run.record.write(tmp_path / "run")
        write_history(table_of(operations), directory / "history.parquet")
        check = next(check for check in CHECKS if check.id == wanted)
        return guarded(wanted, check.title, partial(check.judge, Evidence.of(directory)))

    return judge


Judge = Callable[[Run, str], Claim]


def _plant(run: Run, name: str, workload: str) -> Plant:
    (plant,) = (one for one in PLANTS if (one.name, one.workload) == (name, workload))
    run.histories[workload] = plant.into(run.histories[workload])
    return plant


@pytest.mark.parametrize("wanted", [APPEND, BANK, SET, SESSION])
def test_a_clean_history_certifies(run: Run, judged: Judge, wanted: str) -> None:
    """The claim tells how much was looked at, which model it claims and how the members were set."""
    claim = judged(run, wanted)
    assert claim.verdict is Verdict.PASS, claim.reason
    assert (claim.measured, claim.limit) == (0, 0)
    assert claim.reason.startswith("no anomaly in ")
    assert "Not claimed: snapshot isolation" in claim.hint
    assert "transaction_isolation REPEATABLE-READ, innodb_flush_log_at_trx_commit 1" in claim.hint


@pytest.mark.parametrize(("wanted", "name"), [
    (APPEND, "two write in both orders"), (APPEND, "an acknowledged append is missing on one member"),
    (BANK, "money is gone at the end"), (BANK, "money is made on the way"),
    (SET, "a refused add is there"), (SESSION, "its own write is not read where it wrote"),
])
def test_what_only_a_fault_explains_fails_the_claim(run: Run, judged: Judge, wanted: str, name: str) -> None:
    """The kind and its witness are named."""
    plant = _plant(run, name, WORKLOADS[wanted])
    claim = judged(run, wanted)
    assert claim.verdict is Verdict.FAIL
    assert claim.reason.startswith(f"{plant.kind}: ")
    assert all(f"op {number} " in claim.reason for number in plant.ops)
    assert claim.measured


@pytest.mark.parametrize(("wanted", "name"), [
    (APPEND, "stale"), (APPEND, "half of a transaction is missed"), (SET, "stale"),
    (SESSION, "another member lags behind"),
])
def test_what_galera_allows_fails_nothing(run: Run, judged: Judge, wanted: str, name: str) -> None:
    """A stale read without wsrep_sync_wait, or read skew, accuses nobody."""
    _plant(run, name, WORKLOADS[wanted])
    assert judged(run, wanted).verdict is Verdict.PASS


def test_behaviour_is_counted_with_a_witness(run: Run, judged: Judge) -> None:
    """It never fails, and names the settings."""
    _plant(run, "two append to what both have read", "append")
    _plant(run, "two increments write one number", "counter")
    claim = judged(run, BEHAVIOUR)
    assert claim.verdict is Verdict.PASS
    assert (claim.measured, claim.bound) == (2, "")
    assert claim.reason == "1 x lost update (P4) (append), 1 x lost update (P4) (counter)"
    told = {part.object: part.reason for part in claim.parts}
    assert "op 902 read list 101 and appended to it" in told["append"]
    assert "op 951 " in told["counter"]
    assert "transaction_isolation REPEATABLE-READ" in told["settings"]
    assert "Not claimed" in claim.hint


def test_a_weaker_isolation_level_does_not_accuse_for_a_snapshot(run: Run, judged: Judge) -> None:
    """READ COMMITTED never promised one snapshot a transaction: the total it shows is its behaviour."""
    for event in run.record.found("historian", "setup"):
        event["data"]["isolation"] = "READ-COMMITTED"
    _plant(run, "money is made on the way", "bank")
    assert judged(run, BANK).verdict is Verdict.PASS


def _use_table(run: Run) -> None:
    run.record.found("historian", "setup")[0]["data"]["rows"] = {"portal-a": {"lists": 4}}


def _forget_member(run: Run) -> None:
    run.histories["append"] = [one for one in run.histories["append"] if not (one.final and one.member == VMS[1])]


def _promise_more(run: Run) -> None:
    run.record.settings["load"]["history_rate"] = 900.0


def _refuse_all(run: Run) -> None:
    run.histories["append"] = [replace(one, outcome=Outcome.ERROR) for one in run.histories["append"]]


def _read_only(run: Run) -> None:
    """Whoever writes is refused, and what was read is as if nobody ever had."""
    run.histories["append"] = [
        replace(one, outcome=Outcome.ERROR) if any(step.act == Act.APPEND for step in one.acts) else
        replace(one, acts=tuple(step._replace(seen=()) for step in one.acts))
        for one in run.histories["append"]
    ]


def _stop_at(run: Run, begin: float, member: str = "", until: float = END) -> None:
    """From then on, nothing is answered any more, or nothing on one member."""

    def left_open(one: Operation) -> Operation:
        if one.final or not at(begin) <= _moment(one.end_ns) <= at(until) or member not in ("", one.member):
            return one
        acts = tuple(step._replace(seen=()) for step in one.acts)
        return replace(one, outcome=Outcome.TIMEOUT, acts=acts)

    run.histories = {workload: [left_open(one) for one in history] for workload, history in run.histories.items()}


def _stop_after_a_fault(run: Run) -> None:
    """The last drain was a fault, and one member never answered again."""
    for event in run.record.found("run", "phase"):
        event["data"]["phase"] = event["data"]["phase"].replace("drain/3", "fault/3")
    run.record.event(22.1, "fault", "begin", "pause/3", fault="pause", expects=Expectation().as_json())
    _stop_at(run, 27, VMS[1])


def _write_only(run: Run) -> None:
    run.histories["append"] = [
        replace(one, acts=tuple(step for step in one.acts if step.act == Act.APPEND or one.final))
        for one in run.histories["append"]
    ]


def _write_twice(run: Run) -> None:
    run.extra += [op(number, Step(Act.APPEND, X, 5)) for number in (901, 902)]


UNKNOWNS: list[tuple[Callable[[Run], Any], str]] = [
    (lambda run: run.record.drop("historian", "setup"), "no history was begun"),
    (_use_table, "lists had 4 rows on portal-a before the history began"),
    (_forget_member, "lists were not read on portal-b at the end"),
    (_promise_more, "transactions a second undisturbed, of 900 promised"),
    (_refuse_all, "no transaction of the workload append that writes was acknowledged"),
    (_read_only, "no transaction of the workload append that writes was acknowledged"),
    (lambda run: _stop_at(run, 26.9), "no transaction was acknowledged in settle/3"),
    (lambda run: _stop_at(run, 11, until=14), "no transaction was acknowledged in settle/1"),
    (lambda run: _stop_at(run, 6, VMS[1]), "no transaction was acknowledged on portal-b after 00:00:06.000"),
    (_stop_after_a_fault, "no transaction was acknowledged on portal-b after 00:00:27.000"),
    (_write_only, "no transaction of the workload append has read anything"),
    (_write_twice, "was appended to list 101 by two operations"),
    (lambda run: setattr(run, "kept", 12345), "the historian kept 12345 operations, the record holds"),
    (lambda run: run.record.event(9, "observer", "ended", "historian", code=-9), "the historian ended with code -9"),
    (lambda run: run.record.event(30, "record", "damaged-history", reason="it breaks off"), "it breaks off"),
    (lambda run: run.record.event(
        12, "historian", "stall", start_ns=at(8), end_ns=at(12)), "the historian stalled for 4.000 s"),
    (lambda run: run.record.drop("run", "phase", lambda one: one["data"]["phase"] == "settle/3"), "before all was"),
]


@pytest.mark.parametrize(("spoil", "reason"), UNKNOWNS, ids=[reason for _, reason in UNKNOWNS])
def test_what_was_not_seen_is_unknown(run: Run, judged: Judge, spoil: Callable[[Run], Any], reason: str) -> None:
    """Missing evidence neither certifies nor accuses."""
    spoil(run)
    claim = judged(run, APPEND)
    assert claim.verdict is Verdict.UNKNOWN
    assert reason in claim.reason


def test_a_record_without_a_history_is_unknown(run: Run, tmp_path: Path) -> None:
    """The file is named."""
    evidence = Evidence.of(run.record.write(tmp_path / "run"))
    claim = guarded(APPEND, "", partial(consistency.check_of(consistency.CLAIMS[0]), evidence))
    assert (claim.verdict, claim.reason) == (Verdict.UNKNOWN, "history.parquet: is missing")
    assert guarded(BEHAVIOUR, "", partial(behaviour.check, evidence)).verdict is Verdict.UNKNOWN


def test_a_value_that_nobody_wrote_accuses_only_if_nothing_is_missing(run: Run, judged: Judge) -> None:
    """A historian that was killed may have written what it never told."""
    plant = _plant(run, "nobody appended it", "append")
    run.record.event(30, "record", "damaged-history", reason="it breaks off")
    claim = judged(run, APPEND)
    assert claim.verdict is Verdict.UNKNOWN
    assert f"{plant.kind}: 1 found" in claim.reason


def test_it_applies_where_a_history_is_promised(run: Run, tmp_path: Path) -> None:
    """A record that was made before there were histories is judged without these claims."""
    assert consistency.applies(Evidence.of(run.record.write(tmp_path / "run-1")))
    run.record.settings["load"]["history_rate"] = 0
    assert not consistency.applies(Evidence.of(run.record.write(tmp_path / "run-2")))


def test_case_merges_the_shards_of_histories(tmp_path: Path) -> None:
    """A damaged shard is told, and what was whole in it is kept."""
    case = Case(tmp_path)
    case.history_shard("gone").parent.mkdir()
    case.history_shard("gone").write_bytes(b"nothing")
    case.merge_history()
    case.close()
    assert "damaged-history" in (tmp_path / "events.jsonl").read_text()
    assert (tmp_path / "history.parquet").exists()
