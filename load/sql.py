"""SQL connections to one member of the database, and a small command that runs statements there.

`python -m load.sql <plan.json> <vm> "<statement>"...` prints one JSON object per statement.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pymysql
from pymysql.constants import CR, ER

from drainproof.errors import CannotRunError
from drainproof.record import Outcome
from load.plan import Plan, sql_password

GALERA_NOT_READY = 1047
"""ER_UNKNOWN_COM_ERROR, which Galera answers while a member does not belong to the primary component."""
REFUSED_BEFORE_COMMIT = {
    GALERA_NOT_READY, ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, ER.OPTION_PREVENTS_STATEMENT, ER.CON_COUNT_ERROR,
}
"""Errors after which a statement has certainly not been committed; a certification conflict says LOCK_DEADLOCK."""
NOT_SENT = {CR.CR_SERVER_GONE_ERROR, CR.CR_CONNECTION_ERROR, CR.CR_CONN_HOST_ERROR}
"""The client library's errors before it could hand a statement to the kernel, or could connect at all."""


class Cursor(Protocol):
    """What is used of a database cursor."""

    def execute(self, query: str, args: Any = None) -> int: ...

    def fetchall(self) -> Sequence[Sequence[Any]]: ...

    def close(self) -> None: ...


class Connection(Protocol):
    """What is used of a database connection."""

    def cursor(self) -> Cursor: ...

    def close(self) -> None: ...


def connect(plan: Plan, address: str, password: str, **options: Any) -> pymysql.Connection[Any]:
    """An autocommitting connection to the member at an address; raises pymysql.MySQLError."""
    portal, seconds = plan.portal, plan.load.timeout_seconds
    settings = {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds} | options
    return pymysql.connect(
        host=address, port=portal.sql_port, user=portal.sql_user, password=password, database=portal.database,
        autocommit=True, **settings,
    )


def outcome_of(error: pymysql.MySQLError | OSError) -> Outcome:
    """What is certain about a write that ended in an error: ERROR means that it was not committed.

    Anything that is not known to exclude a commit is INDETERMINATE.
    """
    code = error_code(error)
    if isinstance(error, pymysql.err.ProgrammingError | pymysql.err.IntegrityError | pymysql.err.DataError):
        return Outcome.ERROR
    if code in REFUSED_BEFORE_COMMIT or code in NOT_SENT:
        return Outcome.ERROR
    return Outcome.INDETERMINATE


def error_code(error: BaseException) -> int:
    """The number of a database error, 0 when it has none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def reason_of(error: BaseException) -> str:
    """A database error in one line."""
    return f"{type(error).__name__}: {' '.join(str(part) for part in error.args)}"[:300]


def execute(connection: Connection, statement: str) -> list[list[Any]]:
    """Run one statement and return its rows."""
    cursor = connection.cursor()
    try:
        cursor.execute(statement)
        return [list(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def main(arguments: Sequence[str]) -> int:
    """Run the statements in one session; 0 when all succeeded, 1 when the database refused one, 3 when misused."""
    try:
        if len(arguments) < 3:
            raise CannotRunError('Use: python -m load.sql <plan.json> <vm> "<statement>"...')
        plan = Plan.read(Path(arguments[0]))
        address, password = plan.portal.machine(arguments[1]).address, sql_password()
    except CannotRunError as error:
        print(*error.reasons, sep="\n", file=sys.stderr)
        return 3
    try:
        connection = connect(plan, address, password)
        for statement in arguments[2:]:
            print(json.dumps({"rows": execute(connection, statement)}, default=str))
    except (pymysql.MySQLError, OSError) as error:
        print(json.dumps({"error": reason_of(error), "code": error_code(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
