"""The statement command prints rows, or the database's refusal, and says how it went by its exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.constants import ER

from load import sql
from load.plan import PASSWORD_VARIABLE, Plan


class FakeConnection:
    """Answers every statement with itself, except one that the database does not understand."""

    def __init__(self) -> None:
        self._said = ""

    def cursor(self) -> FakeConnection:
        return self

    def execute(self, query: str, args: Any = None) -> int:
        if query == "nonsense":
            raise pymysql.err.ProgrammingError(ER.PARSE_ERROR, "You have an error in your SQL syntax")
        self._said = query
        return 1

    def fetchall(self) -> Sequence[Sequence[Any]]:
        return [(1, self._said)]

    def close(self) -> None:
        """Nothing to release."""


@pytest.fixture(autouse=True)
def member(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_plan: Plan, address: str, password: str) -> FakeConnection:
        assert (address, password) == ("127.0.0.1", "secret")
        return FakeConnection()

    monkeypatch.setattr(sql, "connect", connect)
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")


def test_each_statement_gives_one_line_of_rows(plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sql.main([str(plan_file), "a", "SET x", "SELECT y"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"rows": [[1, "SET x"]]}, {"rows": [[1, "SELECT y"]]}]


def test_a_refused_statement_ends_it_with_the_databases_words(
    plan_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sql.main([str(plan_file), "a", "nonsense", "SELECT y"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["code"] == ER.PARSE_ERROR
    assert "SQL syntax" in said["error"]


@pytest.mark.parametrize("arguments", [[], ["{plan}", "z", "SELECT 1"]])
def test_misuse_is_told_in_a_sentence(
    arguments: list[str], plan_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sql.main([argument.format(plan=plan_file) for argument in arguments]) == 3
    assert capsys.readouterr().err.rstrip().endswith(".")
