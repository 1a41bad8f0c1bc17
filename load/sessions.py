"""Sessions of the consistency workloads: one connection each, one transaction at a time, and what is certain about it.

A transaction whose COMMIT was never sent was certainly not applied: the server rolls it back when its connection ends.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pymysql

from drainproof.record import Outcome, Step
from drainproof.record.history import PLAIN, SYNC
from load.sql import REFUSED_BEFORE_COMMIT, Connection, error_code, outcome_of, reason_of
from load.workloads import Transaction, perform

FAULTS = (pymysql.MySQLError, OSError)
SYNC_WAIT = {PLAIN: 0, SYNC: 1}
"""wsrep_sync_wait for each level: 1 makes SELECT and START TRANSACTION wait until the member has caught up."""


class TooLateError(Exception):
    """The transaction was given up before anything that can commit was sent."""


@dataclass
class Attempt:
    """One transaction under way: which steps have been taken, and whether it may have been committed."""

    transaction: Transaction
    op: int
    start_ns: int
    taken: list[Step] = field(default_factory=list)
    _sent: bool = False
    _given_up: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def committing(self) -> None:
        """What is sent next may take effect. Raises TooLateError when the transaction has been given up."""
        with self._lock:
            if self._given_up:
                raise TooLateError
            self._sent = self._sent or self.transaction.writes

    def give_up(self) -> Outcome:
        """Send nothing that commits from now on; what is certain about the transaction."""
        with self._lock:
            self._given_up = True
            return Outcome.INDETERMINATE if self._sent else Outcome.ERROR

    def outcome_after(self, error: pymysql.MySQLError | OSError) -> Outcome:
        """What is certain once an error has ended it.

        Values are unique: if one is there already, somebody has put it there, and it may have been this transaction.
        """
        if not self._sent:
            return Outcome.ERROR
        return Outcome.INDETERMINATE if isinstance(error, pymysql.err.IntegrityError) else outcome_of(error)

    @property
    def acts(self) -> tuple[Step, ...]:
        """The steps as they went, and after them as they were planned."""
        return (*self.taken, *self.transaction.steps[len(self.taken) :])


class Session:
    """One connection to one member, by its number; `lost` says why it is of no more use."""

    def __init__(self, number: int, connection: Connection) -> None:
        self.number = number
        self.lost = ""
        self._connection = connection
        self._level = ""

    def attempt(self, attempt: Attempt) -> Outcome:
        """Try one transaction; returns how it ended. Raises TooLateError once it has been given up."""
        try:
            self._run(attempt)
        except FAULTS as error:
            self._recover(error)
            return attempt.outcome_after(error)
        return Outcome.OK

    def close(self) -> None:
        """End the connection; the server rolls back what is not committed."""
        with suppress(*FAULTS):
            self._connection.close()

    def execute(self, query: str, arguments: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        """Run one statement; raises what the client library raises."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(query, tuple(arguments))
            return cursor.fetchall()
        finally:
            cursor.close()

    def _run(self, attempt: Attempt) -> None:
        transaction = attempt.transaction
        if self._level != transaction.level:
            self.execute("SET SESSION wsrep_sync_wait = %s", (SYNC_WAIT[transaction.level],))
            self._level = transaction.level
        if transaction.explicit:
            self.execute("START TRANSACTION")
        else:
            attempt.committing()
        for step in transaction.steps:
            attempt.taken.append(perform(self.execute, step))
        if transaction.explicit:
            attempt.committing()
            self.execute("COMMIT")

    def _recover(self, error: BaseException) -> None:
        """A member that has refused is asked to roll back; any other error ends the session."""
        if error_code(error) in REFUSED_BEFORE_COMMIT:
            try:
                self.execute("ROLLBACK")
                return
            except FAULTS as worse:
                error = worse
        self.lost = reason_of(error)
        self.close()
