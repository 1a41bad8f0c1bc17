"""The portal's tables as the audit reads them: every row by primary key, reduced to a digest over all its columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from load.workloads import TABLES

PORTAL = ("doctors", "patients", "bills", "payments", "ledger")
NAMES = (*PORTAL, *TABLES)
"""All tables; those of the consistency workloads are there only where a history is kept."""
KEY = "id"
"""The primary key of every table."""
BATCH_ROWS = 10_000

Batch = tuple[list[int], list[int]]


class TableReader:
    """Reads one table of one member in primary-key order; `rows` counts what has been read.

    The connection must convert no values (`conv={}`), so that columns compare as the server sends them.
    """

    def __init__(self, connection: pymysql.Connection[Any], table: str) -> None:
        self._connection = connection
        self._table = table
        self.rows = 0

    def batches(self) -> Iterator[Batch]:
        """Yield keys and digests, as many rows at a time as fit into memory easily; raises pymysql.MySQLError."""
        with self._connection.cursor(SSCursor) as cursor:
            cursor.execute(f"SELECT {KEY}, `{self._table}`.* FROM `{self._table}` ORDER BY {KEY}")
            while rows := cursor.fetchmany(BATCH_ROWS):
                self.rows += len(rows)
                yield [int(row[0]) for row in rows], [digest(row[1:]) for row in rows]


def digest(columns: Sequence[str | bytes | None]) -> int:
    """Eight bytes of BLAKE2b over all columns, as a signed integer; no two different rows share an encoding."""
    state = hashlib.blake2b(digest_size=8)
    for column in columns:
        if column is None:
            state.update(b"n")
            continue
        content = column.encode() if isinstance(column, str) else column
        state.update(b"%d:" % len(content))
        state.update(content)
    return int.from_bytes(state.digest(), "big", signed=True)
