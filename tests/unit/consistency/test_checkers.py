"""Every anomaly is found with its witness and taken for nothing else; clean histories raise no alarm."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from drainproof.record import Act, History, Operation, Outcome, Step
from reports.consistency import append, bank, counters, registers, sets
from reports.consistency.findings import BEHAVIOUR, FAILURES, Kind, Report
from reports.verdict import MissingEvidenceError
from tests.unit.consistency import plants
from tests.unit.consistency.plants import PLANTS, Plant, X, op
from tests.unit.consistency.world import ACCOUNTS, MEMBERS, TOTAL, World

CHECKS: dict[str, Callable[[History], Report]] = {
    "append": lambda history: append.check(history, MEMBERS),
    "bank": lambda history: bank.check(history, MEMBERS, ACCOUNTS, TOTAL),
    "set": lambda history: sets.check(history, MEMBERS),
    "register": lambda history: registers.check(history, MEMBERS),
    "counter": counters.check,
}
CLEAN = {"append": 4000, "bank": 1500, "set": 1500, "register": 1500, "counter": 1500}
"""How many clean histories of each workload are checked: 10,000 together."""


def clean(workload: str, seed: int, operations: int = 20) -> list[Operation]:
    """A clean history: strictly serializable if the seed is even, otherwise one that Galera allows."""
    return World(random.Random(seed), strict=seed % 2 == 0).history(workload, operations)


def checked(workload: str, operations: list[Operation]) -> Report:
    return CHECKS[workload](History.of(operations))


@pytest.mark.parametrize("workload", CLEAN)
def test_clean_histories_raise_no_alarm(workload: str) -> None:
    """Nothing accuses in any of them, and in a strictly serializable one there is nothing to tell at all."""
    allowed = 0
    for seed in range(CLEAN[workload]):
        report = checked(workload, clean(workload, seed))
        assert not report.of(FAILURES), (seed, report.findings)
        assert seed % 2 or not report.findings, (seed, report.findings)
        assert not report.unread, seed
        allowed += bool(report.findings)
    assert (allowed > 0) == (workload != "bank")  # else nothing has shown that what Galera allows is told apart


@pytest.mark.parametrize("plant", PLANTS, ids=[f"{plant.workload}: {plant.name}" for plant in PLANTS])
def test_what_was_planted_is_found_and_nothing_else(plant: Plant) -> None:
    """The anomaly has its own kind, and the operations that show it are its witness, by number and in words."""
    report = checked(plant.workload, plant.into(clean(plant.workload, 42)))
    (finding,) = report.findings
    assert finding.kind is plant.kind
    assert plant.ops <= {*finding.ops}
    assert all(f"op {number} " in finding.witness for number in plant.ops)


def test_every_kind_that_is_told_was_planted() -> None:
    """No checker claims to find what no test has seen it find."""
    assert {plant.kind for plant in PLANTS} == {*Kind} == FAILURES | BEHAVIOUR
    assert not FAILURES & BEHAVIOUR


def test_the_witness_names_session_member_time_and_lists() -> None:
    """A person can follow it without the file."""
    (plant,) = (plant for plant in PLANTS if plant.name == "two read each other's appends")
    history = History.of(plant.into([]))
    (finding,) = append.check(history, (), at=lambda t_ns: f"{t_ns // 10**9} o'clock").findings
    assert finding.witness == (
        "op 901 -wr on list 101-> op 902 -wr on list 102-> op 901; "
        "op 901 (session 901 on portal-a, plain, 1000 o'clock): appended 1 to list 101, read list 102 as [2]; "
        "op 902 (session 902 on portal-a, plain, 1000 o'clock): appended 2 to list 102, read list 101 as [1]"
    )


def test_the_shortest_cycle_is_the_witness() -> None:
    """Of a component with a cycle of three and one of two, the one of two is told."""
    first, second, third = (
        op(901, plants.append(1, 1), plants.read(2, 2), plants.read(3, 3)),
        op(902, plants.append(2, 2), plants.read(1, 1)),
        op(903, plants.append(3, 3), plants.read(2, 2)),
    )
    (finding,) = append.check(History.of([first, second, third]), ()).findings
    assert (finding.kind, finding.count, {*finding.ops}) == (Kind.G1C, 1, {901, 902})


def test_open_writes_are_resolved_by_what_is_there_at_the_end() -> None:
    """Nobody was told how they ended; the last reads tell."""
    open_writes = [op(901, plants.append(X, 1), outcome=Outcome.TIMEOUT)]
    open_writes += [op(902, plants.append(X, 2), outcome=Outcome.INDETERMINATE)]
    history = plants.lists(*open_writes, ends={X: (2,)})(clean("append", 42, operations=0))
    report = checked("append", history)
    assert (report.open_present, report.open_absent, report.findings) == (1, 1, ())
    adds = [op(901, plants.add(1), workload="set", outcome=Outcome.TIMEOUT)]
    adds += [op(902, plants.add(2), workload="set", outcome=Outcome.INDETERMINATE)]
    report = checked("set", plants.on_set(*adds, more=(2,))(clean("set", 42, operations=0)))
    assert (report.open_present, report.open_absent, report.findings) == (1, 1, ())


@pytest.mark.parametrize("workload", ["append", "bank", "set", "register"])
def test_a_member_that_was_not_read_at_the_end_is_named(workload: str) -> None:
    """What nobody has looked at is not taken for complete."""
    history = [one for one in clean(workload, 42) if not (one.final and one.member == "portal-b")]
    (unread,) = checked(workload, history).unread
    assert "portal-b" in unread


@pytest.mark.parametrize(("workload", "step", "read"), [
    ("append", plants.append(X, 1), plants.read(X)), ("bank", Step(Act.TRANSFER, 1, 2, (3,)), Step(Act.BALANCES)),
    ("set", plants.add(1), Step(Act.MEMBERS)), ("register", plants.write(X, 1), plants.get(X, 0)),
    ("counter", Step(Act.BUMP, X, 1), None),
])
def test_only_writes_that_were_acknowledged_before_the_end_count_as_such(
    workload: str, step: Step, read: Step | None
) -> None:
    """Neither reads, nor refused writes, nor what is read at the end; an operation counts once."""
    reads = [op(901, read, workload=workload)] if read else []
    refused = op(902, step, workload=workload, outcome=Outcome.ERROR)
    history = [*clean(workload, 42, operations=0), *reads, refused]
    assert checked(workload, history).writes == 0
    both = [step._replace(value=7), step._replace(value=8)]
    assert checked(workload, [*history, op(903, *both, workload=workload)]).writes == 1


def test_balances_are_compared_to_the_first_of_many_accounts() -> None:
    """However few of them a witness would show."""
    ends = {member: (100 - (member == "portal-b"), 100 + (member == "portal-b"), *[100] * 14) for member in MEMBERS}
    history = [
        replace(op(number, Step(Act.BALANCES, seen=seen), workload="bank", member=member, at=9000), final=True)
        for number, (member, seen) in enumerate(ends.items(), 901)
    ]
    (finding,) = bank.check(History.of(history), MEMBERS, 16, 1600).findings
    assert finding.kind is Kind.DIFFERENT
    assert "portal-b [99, 101, 100" in finding.witness


@pytest.mark.parametrize(("workload", "step"), [
    ("append", Step(Act.APPEND, 1, 5)), ("set", Step(Act.ADD, 0, 5)), ("register", Step(Act.WRITE, 1, 5)),
])
def test_values_that_clients_wrote_twice_prove_nothing(workload: str, step: Step) -> None:
    """Who wrote what was read could not be told: the history is at fault, not the database."""
    twice = [op(number, step, workload=workload) for number in (901, 902)]
    with pytest.raises(MissingEvidenceError, match="two operations"):
        checked(workload, twice)


@pytest.mark.parametrize("workload", CHECKS)
def test_an_empty_history_is_empty(workload: str) -> None:
    """There is nothing in it to find, nor anything acknowledged."""
    report = checked(workload, [])
    assert (report.operations, report.acknowledged, report.findings) == (0, 0, ())


def test_the_clean_histories_are_worth_checking() -> None:
    """They hold every outcome, both levels, reads of something, and several sessions on several members."""
    operations = [one for seed in range(50) for one in clean("append", seed)]
    assert {*Counter(one.outcome for one in operations)} == {
        Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT, Outcome.INDETERMINATE
    }
    assert {one.level for one in operations} == {"sync", "plain"}
    assert max(len(step.seen) for one in operations for step in one.acts) > 5
