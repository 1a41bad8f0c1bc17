"""What is certain about a statement, asked of a real MariaDB: refused before a commit, or nobody knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pymysql
import pytest

from drainproof.record import Outcome
from load.plan import PASSWORD_VARIABLE, Plan
from load.sql import connect, execute, outcome_of
from tests.containers.conftest import PASSWORD, Server

PROJECT = Path(__file__).parents[2]
Session: TypeAlias = "pymysql.Connection[Any]"


@pytest.fixture
def sessions(plan: Plan, database: Server) -> Iterator[tuple[Session, Session]]:
    """Two sessions, and a table of two rows."""
    found = tuple(connect(plan, database.host, PASSWORD) for _ in range(2))
    execute(found[0], "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, v INT)")
    execute(found[0], "INSERT INTO t VALUES (1, 0), (2, 0)")
    yield found[0], found[1]
    for session in found:
        if session.open:
            session.close()


def values(session: Session) -> list[list[int]]:
    return execute(session, "SELECT id, v FROM t ORDER BY id")


def test_a_duplicate_is_certainly_not_written(sessions: tuple[Session, Session]) -> None:
    one, _ = sessions
    with pytest.raises(pymysql.err.IntegrityError) as caught:
        execute(one, "INSERT INTO t VALUES (1, 9)")
    assert outcome_of(caught.value) == Outcome.ERROR
    assert values(one) == [[1, 0], [2, 0]]


def test_a_lock_that_is_not_had_in_time_is_certainly_not_written(sessions: tuple[Session, Session]) -> None:
    one, two = sessions
    execute(one, "BEGIN")
    execute(one, "UPDATE t SET v = 1 WHERE id = 1")
    with pytest.raises(pymysql.err.OperationalError) as caught:
        execute(two, "UPDATE t SET v = 2 WHERE id = 1")
    assert outcome_of(caught.value) == Outcome.ERROR
    execute(one, "ROLLBACK")
    assert values(two) == [[1, 0], [2, 0]]


def test_the_victim_of_a_deadlock_is_certainly_not_written(sessions: tuple[Session, Session]) -> None:
    """Two sessions, two rows, in opposite order."""
    one, two = sessions
    for session, row in ((one, 1), (two, 2)):
        execute(session, "SET SESSION innodb_lock_wait_timeout = 10")
        execute(session, "BEGIN")
        execute(session, f"UPDATE t SET v = 7 WHERE id = {row}")
    with ThreadPoolExecutor(2) as pool:
        wanted = ((one, 2), (two, 1))
        asked = [pool.submit(execute, session, f"UPDATE t SET v = 7 WHERE id = {row}") for session, row in wanted]
        errors = [error for one_asked in asked if (error := one_asked.exception(timeout=30)) is not None]
    assert [outcome_of(error) for error in errors if isinstance(error, pymysql.MySQLError)] == [Outcome.ERROR]
    for session in sessions:
        execute(session, "ROLLBACK")
    assert values(one) == [[1, 0], [2, 0]]


def test_a_server_that_stands_still_leaves_it_open(sessions: tuple[Session, Session], database: Server) -> None:
    """The statement may be carried out as soon as the server goes on: no answer is no refusal."""
    one, two = sessions
    database.pause()
    try:
        with pytest.raises(pymysql.MySQLError) as caught:
            execute(one, "UPDATE t SET v = 5 WHERE id = 2")
    finally:
        database.resume()
    assert outcome_of(caught.value) == Outcome.INDETERMINATE
    assert values(two)[1][1] in (0, 5)


def test_a_session_that_was_killed_leaves_it_open_or_says_that_nothing_was_sent(
    sessions: tuple[Session, Session],
) -> None:
    """Never a claim that a commit is excluded when the connection was lost while it was asked."""
    one, two = sessions
    execute(two, f"KILL {execute(one, 'SELECT CONNECTION_ID()')[0][0]}")
    with pytest.raises(pymysql.MySQLError) as caught:
        execute(one, "UPDATE t SET v = 6 WHERE id = 2")
    assert outcome_of(caught.value) in (Outcome.INDETERMINATE, Outcome.ERROR)
    assert values(two) == [[1, 0], [2, 0]]


@pytest.mark.parametrize(("statement", "code"), [("SELECT 6 * 7", 0), ("SELEKT", 1)])
def test_the_statement_command_speaks_to_it(statement: str, code: int, plan: Plan, tmp_path: Path) -> None:
    """`python -m load.sql` prints rows or the refusal, and no password."""
    (tmp_path / "plan.json").write_text(plan.model_dump_json())
    environment = {**os.environ, PASSWORD_VARIABLE: PASSWORD, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", "load.sql", str(tmp_path / "plan.json"), "portal-0", statement]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    assert told == {"rows": [[42]]} if code == 0 else told["code"] == 1064
    assert PASSWORD not in done.stdout + done.stderr
