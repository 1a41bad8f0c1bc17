"""The workloads: the seed alone decides what is done, values are unique, each act is what it says in SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from drainproof.record import Act, Step
from drainproof.record.history import PLAIN, SYNC
from load.workloads import WORKLOADS, Transaction, Turn, append, bank, perform, register, sets, turn_of
from load.workloads.transaction import TAKING_TURNS

MEMBERS = 3
SESSIONS = {0: 11, 1: 12, 2: 13}
SLOTS = 2000


class Script:
    """Answers statements with prepared rows, in order, and keeps what was asked."""

    def __init__(self, *answers: Sequence[Sequence[Any]]) -> None:
        self.asked: list[tuple[str, Sequence[Any]]] = []
        self._answers = list(answers)

    def __call__(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        self.asked.append((query, arguments))
        return self._answers.pop(0) if self._answers else ()


def turn(slot: int, member: int, seed: int = 1, sessions: dict[int, int] = SESSIONS) -> Turn:
    return Turn(seed, slot, member, SESSIONS[member], sessions, MEMBERS)


def transactions(slots: int = SLOTS) -> list[Transaction]:
    return [
        transaction for slot in range(slots) for member in range(MEMBERS) for transaction in turn_of(turn(slot, member))
    ]


def test_the_seed_alone_decides_what_is_done() -> None:
    assert transactions(50) == transactions(50)
    assert turn_of(turn(0, 0)) != turn_of(turn(0, 0, seed=2))


def test_in_each_slot_all_members_run_the_same_workload_and_all_workloads_take_turns() -> None:
    names = [{done.workload for member in range(MEMBERS) for done in turn_of(turn(slot, member))} for slot in range(10)]
    assert names == [{workload.name} for workload in WORKLOADS] * 2
    assert len(WORKLOADS) == TAKING_TURNS


def test_no_value_is_ever_used_twice() -> None:
    steps = [(done.workload, step) for done in transactions() for step in done.steps]
    for act in (Act.APPEND, Act.ADD, Act.WRITE):
        used = Counter((workload, step.value) for workload, step in steps if step.act == act)
        assert used
        assert max(used.values()) == 1


def test_what_takes_several_statements_is_one_transaction() -> None:
    for done in transactions(200):
        assert done.explicit == (len(done.steps) > 1 or done.steps[0].act in (Act.TRANSFER, Act.BALANCES, Act.BUMP))


def test_appends_and_reads_are_mixed_on_few_lists_that_are_left_behind_in_time() -> None:
    done = [one for one in transactions() if one.workload == append.NAME]
    assert {len(one.steps) for one in done} == {1, 2, 3, 4}
    assert any({step.act for step in one.steps} == {Act.APPEND, Act.READ} for one in done)
    assert {one.level for one in done} == {SYNC, PLAIN}
    per_list = Counter(step.key for one in done for step in one.steps if step.act == Act.APPEND)
    assert set(per_list) == set(range(1, max(per_list) + 1))
    assert max(per_list.values()) < 60


def test_a_set_that_has_grown_is_read_less_often() -> None:
    done = [turn_of(turn(slot, member))[0] for slot in range(2, 20_000, TAKING_TURNS) for member in range(MEMBERS)]
    assert {one.workload for one in done} == {sets.NAME}
    reads = [index for index, one in enumerate(done) if one.steps[0].act == Act.MEMBERS]
    early = sum(index < 200 for index in reads)
    late = sum(index >= len(done) - 200 for index in reads)
    assert early > 60
    assert late < 10


def test_one_member_writes_its_register_while_the_others_read_it() -> None:
    written: dict[int, list[int]] = {}
    for slot in range(3, SLOTS, TAKING_TURNS):
        turns = [turn_of(turn(slot, member)) for member in range(MEMBERS)]
        (writer,) = (one for one in turns if len(one) == 2)
        write, read = (one.steps[0] for one in writer)
        assert (write.act, read.act, read.key, writer[1].level) == (Act.WRITE, Act.GET, write.key, PLAIN)
        assert all(one[0].steps[0] == Step(Act.GET, write.key) for one in turns if one is not writer)
        written.setdefault(write.key, []).append(write.value)
    assert set(written) == set(SESSIONS.values())
    assert all(versions == sorted(set(versions)) for versions in written.values())


def test_a_register_whose_session_has_not_begun_is_not_read() -> None:
    assert turn_of(turn(3, 1, sessions={1: 12})) == []


def test_a_transfer_takes_what_it_gives_in_the_order_of_the_accounts() -> None:
    script = Script()
    step = Step(Act.TRANSFER, 7, 2, (4,))
    assert perform(script, step) == step
    assert [arguments for _, arguments in script.asked] == [(4, 2), (-4, 7)]


def test_balances_are_read_in_two_statements() -> None:
    script = Script([(100,), (99,)], [("101",)])
    assert perform(script, Step(Act.BALANCES)).seen == (100, 99, 101)
    assert ["BETWEEN 1 AND 4" in script.asked[0][0], "BETWEEN 5 AND 8" in script.asked[1][0]] == [True, True]
    (insert,) = (one for one in bank.WORKLOAD.create if one.startswith("INSERT"))
    assert insert.count("100") * 100 == bank.TOTAL


@pytest.mark.parametrize(("content", "seen"), [([("5,1,9",)], (5, 1, 9)), ([("7",)], (7,)), ([], ())])
def test_a_list_is_read_in_its_order(content: list[tuple[str]], seen: tuple[int, ...]) -> None:
    assert perform(Script(content), Step(Act.READ, 3)).seen == seen


def test_a_bump_writes_one_more_than_it_read() -> None:
    script = Script([(41,)])
    assert perform(script, Step(Act.BUMP, 2)) == Step(Act.BUMP, 2, 42)
    assert script.asked[1][1] == (42, 2)


@pytest.mark.parametrize(("rows", "version"), [([(9,)], 9), ([], 0)])
def test_a_register_that_does_not_exist_has_the_version_0(rows: list[tuple[int]], version: int) -> None:
    assert perform(Script(rows), Step(Act.GET, 5)).value == version


def test_what_ought_to_be_there_and_is_not_is_read_as_empty() -> None:
    assert append.final(Script([("1", "4,5"), ("9", "6")]), range(1, 3)) == (
        Step(Act.READ, 1, seen=(4, 5)), Step(Act.READ, 2), Step(Act.READ, 9, seen=(6,)),
    )
    assert register.final(Script([("2", "7")]), range(1, 3)) == (Step(Act.GET, 1, 0), Step(Act.GET, 2, 7))


def test_every_table_has_the_primary_key_that_the_audit_reads_by() -> None:
    for workload in WORKLOADS:
        assert workload.create[0].startswith(f"CREATE TABLE IF NOT EXISTS {workload.table} (id BIGINT NOT NULL PRIMARY")
