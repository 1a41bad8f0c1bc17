"""The audit reads every member whole, or says which it could not read and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq
import pymysql
import pytest
from pymysql.constants import CR

from drainproof.record import Case, CaseReader
from load import audit
from load.plan import PASSWORD_VARIABLE, Machine, Plan
from load.tables import PORTAL, digest

Rows = list[tuple[str | None, ...]]


class FakeMember:
    """A member with rows in its ledger; `committed` is where it stands, and catches up by one with each look."""

    def __init__(
        self, ledger: Rows, committed: int = 7, goal: int = 7, broken: str = "",
        workloads: Mapping[str, Rows] | None = None,
    ) -> None:
        self.ledger, self.committed, self.goal, self.broken = ledger, committed, goal, broken
        self.workloads = workloads or {}
        self.sync_wait = False
        self._found: list[Sequence[Any]] = []

    def cursor(self, kind: object = None) -> FakeMember:
        return self

    def __enter__(self) -> FakeMember:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to release."""

    def execute(self, query: str, args: Any = None) -> int:
        if self.broken and self.broken in query:
            raise pymysql.err.OperationalError(CR.CR_SERVER_LOST, "lost")
        if query.startswith("SHOW GLOBAL STATUS"):
            self._found = [
                ("wsrep_last_committed", str(self.committed)), ("wsrep_cluster_status", "Primary"),
                ("wsrep_cluster_size", "3"), ("wsrep_ready", "ON"),
            ]
            self.committed = min(self.goal, self.committed + 1)
        elif query.startswith("SHOW GLOBAL VARIABLES"):
            self._found = [("version", "10.11.1-MariaDB"), ("datadir", "/data"), ("wsrep_OSU_method", "TOI")]
        elif query == "SHOW TABLES":
            self._found = [(name,) for name in (*PORTAL, *self.workloads, "unknown")]
        elif query == "SET SESSION wsrep_sync_wait = 1":
            self.sync_wait = True
        else:
            assert self.sync_wait, "rows are read only after what is on its way was applied"
            assert query.endswith("ORDER BY id")
            assert args in (None, ())
            self._found = self._rows(query)
        return len(self._found)

    def _rows(self, query: str) -> list[Sequence[Any]]:
        """The rows of the table that a query names; the audit's own queries put the key before each."""
        for table, rows in {"ledger": self.ledger, **self.workloads}.items():
            if f"`{table}`" in query:
                return [(row[0], *row) for row in rows]
            if f"FROM {table} " in query:
                kept = rows[:4] if "1 AND 4" in query else rows[4:] if "5 AND 8" in query else rows
                return [row[1:] for row in kept] if table == "accounts" else list(kept)
        return []

    def fetchall(self) -> Sequence[Sequence[Any]]:
        return self._found

    def fetchmany(self, size: int) -> Sequence[Sequence[Any]]:
        rows, self._found = self._found[:size], self._found[size:]
        return rows

    def close(self) -> None:
        """Nothing to release."""


def run(plan: Plan, monkeypatch: pytest.MonkeyPatch, **members: FakeMember | Exception) -> tuple[int, CaseReader]:
    machines = tuple(Machine(name=name, address=name) for name in members)
    plan = plan.model_copy(update={"portal": plan.portal.model_copy(update={"vms": machines})})

    def connect(_plan: Plan, address: str, password: str, **options: Any) -> FakeMember:
        assert (password, options["conv"]) == ("secret", {})
        member = members[address]
        if isinstance(member, Exception):
            raise member
        return member

    monkeypatch.setattr(audit, "connect", connect)
    monkeypatch.setattr(audit, "SETTLE_SECONDS", 0.7)
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    return audit.main(plan), CaseReader(plan.case_dir)


def ledger(case: CaseReader) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for row in pq.read_table(case.directory / "tables.parquet").to_pylist():
        if row["table"] != "ledger":
            continue
        found.setdefault(row["member"], []).append((row["key"], row["digest"]))
    return found


def test_equal_members_have_equal_rows_and_a_changed_row_another_digest(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: Rows = [("1", "a", "x"), ("2", "a", None)]
    code, case = run(
        plan, monkeypatch, a=FakeMember(rows), b=FakeMember(list(rows)), c=FakeMember([rows[0], ("2", "a", "y")])
    )
    found = ledger(case)
    assert code == 0
    assert found["a"] == found["b"]
    assert [key for key, _ in found["a"]] == [1, 2]
    assert found["c"][0] == found["a"][0]
    assert found["c"][1] != found["a"][1]
    (done,) = case.events("audit", "done")
    assert (done.data["complete"], done.data["settled"]) == (True, True)
    data = case.events("audit", "member")[0].data
    assert data["rows"] == {**dict.fromkeys(PORTAL, 0), "ledger": 2}
    assert (data["reachable"], data["cluster_status"], data["cluster_size"]) == (True, "Primary", 3)
    assert data["settings"] == {"version": "10.11.1-MariaDB", "wsrep_osu_method": "TOI"}
    assert not list(case.directory.glob("shards/history-*"))


def test_it_waits_until_every_member_has_applied_the_same(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    _, case = run(plan, monkeypatch, a=FakeMember([]), b=FakeMember([], committed=5))
    (done,) = case.events("audit", "done")
    assert done.data["settled"]
    assert done.data["last_committed"] == {"a": 7, "b": 7}


def test_members_that_never_agree_are_on_the_record(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    code, case = run(plan, monkeypatch, a=FakeMember([("1", "x")]), b=FakeMember([], committed=5, goal=5))
    (done,) = case.events("audit", "done")
    assert (code, done.data["settled"], done.data["complete"]) == (0, False, True)
    assert done.data["last_committed"] == {"a": 7, "b": 5}
    assert len(ledger(case)["a"]) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        pymysql.err.OperationalError(CR.CR_CONN_HOST_ERROR, "refused"),
        FakeMember([("1", "x")], broken="`bills`"),
    ],
)
def test_a_member_that_cannot_be_read_is_named_with_the_reason(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, trouble: FakeMember | Exception
) -> None:
    code, case = run(plan, monkeypatch, a=FakeMember([("1", "x")]), b=trouble)
    assert code == 1
    (done,) = case.events("audit", "done")
    assert not done.data["complete"]
    members = {event.object: event.data for event in case.events("audit", "member")}
    assert members["a"]["reachable"]
    assert not members["b"]["reachable"]
    assert "OperationalError" in members["b"]["reason"]


WORKLOADS: dict[str, Rows] = {
    "lists": [("1", "3,4")], "accounts": [(str(account), "100") for account in range(1, 9)],
    "elements": [("7",), ("9",)], "registers": [("2", "11")], "counters": [("1", "5")],
}


def test_what_the_workloads_left_is_read_on_every_member_at_the_end(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(plan.case_dir)
    case.events.add("historian", "tally", highest={"append": 2, "register": 2})
    behind: dict[str, Rows] = {**WORKLOADS, "elements": [("7",)]}
    code, reader = run(plan, monkeypatch, a=FakeMember([], workloads=WORKLOADS), b=FakeMember([], workloads=behind))
    assert code == 0
    assert reader.events("audit", "member")[1].data["rows"]["elements"] == 1
    case.merge_history()
    case.close()
    history = reader.history()
    assert history.final.all()
    assert history.sync.all()
    assert (history.members, sorted(set(history.session.tolist()))) == (("a", "b"), [-2, -1])
    seen: dict[tuple[str, str], list[tuple[int, int, list[int]]]] = {}
    steps = history.steps
    for step in range(len(steps)):
        row = steps.row[step]
        name = history.members[history.member[row]], history.workloads[history.workload[row]]
        seen.setdefault(name, []).append((steps.key[step], steps.value[step], steps.seen_by(step).tolist()))
    assert seen["a", "append"] == [(1, 0, [3, 4]), (2, 0, [])]
    assert seen["a", "bank"] == [(0, 0, [100] * 8)]
    assert (seen["a", "set"], seen["b", "set"]) == ([(0, 0, [7, 9])], [(0, 0, [7])])
    assert seen["a", "register"] == [(1, 0, []), (2, 11, [])]
    assert seen["b", "counter"] == [(1, 5, [])]


def test_an_audit_that_is_done_again_replaces_what_was_read(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    later: dict[str, Rows] = {**WORKLOADS, "elements": [("7",)]}
    for workloads in (WORKLOADS, later):
        code, reader = run(plan, monkeypatch, a=FakeMember([], workloads=workloads))
        assert code == 0
    case = Case(plan.case_dir)
    case.merge_history()
    case.close()
    steps = reader.history().steps
    of_set = reader.history().workloads.index("set")
    rows = [step for step in range(len(steps)) if reader.history().workload[steps.row[step]] == of_set]
    assert [steps.seen_by(row).tolist() for row in rows] == [[7]]


def test_a_table_that_one_member_does_not_have_has_no_rows_there(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    code, case = run(plan, monkeypatch, a=FakeMember([], workloads=WORKLOADS), b=FakeMember([]))
    assert code == 0
    rows = [event.data["rows"]["accounts"] for event in case.events("audit", "member")]
    assert rows == [8, 0]


def test_digests_tell_apart_what_joined_columns_would_not() -> None:
    rows: Rows = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", None), ("abc", ""), ("abc", "n"), (None, "abc")]
    assert len({digest(row) for row in rows}) == len(rows)


def test_a_digest_is_the_same_on_every_machine_and_fits_the_column() -> None:
    assert digest(["1", None, b"\xff"]) == digest([b"1", None, b"\xff"])
    assert all(-(2**63) <= digest([str(number)]) < 2**63 for number in range(100))
