"""SQL at one member of the database, as its administrator: run where the clients are, apart from all load.

`python -m scenarios.sql ADDRESS PORT USER TIMES STATEMENT...` runs the statements in order, the last of them TIMES
times, and prints a JSON object for each; the first error ends it. The password is in DRAINPROOF_SQL_PASSWORD.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from drainproof.errors import DrainproofError

PASSWORD = "DRAINPROOF_SQL_PASSWORD"
CONNECT_SECONDS = 5
PROJECT = Path(__file__).resolve().parent.parent


class SqlError(DrainproofError):
    """A member refused a statement, or could not be reached; `code` is MariaDB's, 0 when there was no answer.

    `done` is how many statements it had answered before.
    """

    def __init__(self, code: int, message: str, done: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.done = done


@dataclass(frozen=True, kw_only=True)
class Member:
    """How to reach one member of the database."""

    vm: str
    address: str
    user: str
    password: str = field(repr=False)
    port: int = 3306
    client_exec: Sequence[str] = ()
    """Prefix of every command that has to run where the clients are."""

    def run(self, *statements: str, times: int = 1, seconds: float = 30) -> list[list[Any]]:
        """The rows of each statement, the last one repeated; raises SqlError at the first that fails.

        `seconds` bounds them all together; a member that has not answered by then may go on with the last.
        """
        where = [self.address, str(self.port), self.user, str(times), *statements]
        command = [*self.client_exec, sys.executable, "-m", "scenarios.sql", *where]
        environment = {**os.environ, PASSWORD: self.password, "DRAINPROOF_SQL_SECONDS": str(seconds)}
        try:
            done = subprocess.run(
                command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False,
                timeout=CONNECT_SECONDS + seconds,
            )
        except subprocess.TimeoutExpired:
            raise SqlError(0, f"no end of the statements within {seconds:.0f} s") from None
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        if answers and (error := answers[-1].get("error")):
            raise SqlError(int(error[0]), str(error[1]), done=len(answers) - 1)
        if done.returncode:
            raise SqlError(0, done.stderr.strip()[-500:] or f"ended with {done.returncode}")
        return [answer["rows"] for answer in answers]

    def variable(self, name: str) -> str:
        """A status variable, such as wsrep_local_state_comment; empty when the member has none of that name."""
        rows = self.run(f"SHOW GLOBAL STATUS LIKE '{name}'")[0]
        return str(rows[0][1]) if rows else ""


def main(arguments: Sequence[str]) -> int:
    """Run the statements; 0, or 1 after the first error."""
    address, port, user, times, *statements = arguments
    repeated = [*statements[:-1], *statements[-1:] * int(times)]
    try:
        with pymysql.connect(
            host=address, port=int(port), user=user, password=os.environ[PASSWORD], autocommit=True,
            connect_timeout=CONNECT_SECONDS, read_timeout=float(os.environ.get("DRAINPROOF_SQL_SECONDS", "30")),
        ) as connection:
            for statement in repeated:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
                    print(json.dumps({"rows": cursor.fetchall()}, default=str), flush=True)
    except (pymysql.MySQLError, OSError) as error:
        code, message = (*error.args, "")[:2] if len(error.args) > 1 else (0, str(error))
        print(json.dumps({"error": [int(code or 0), str(message)]}), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
