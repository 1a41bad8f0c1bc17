"""The historian: runs the consistency workloads through every member and keeps the history of what they did and saw.

Each member has one session at a time. All sessions take their turns in the same slots, each a little later at random:
only transactions that meet can show what goes wrong between members.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

from drainproof.record import EventLog, HistoryWriter, Operation, Outcome
from drainproof.wait import Deadline
from load.observer import STATUS_SECONDS, Observer, observing, ready, rest, run
from load.plan import Plan, sql_password
from load.schedule import SECOND, Schedule, period_ns
from load.sessions import FAULTS, Attempt, Session, TooLateError
from load.sql import Connection, connect, reason_of
from load.workloads import Transaction, Turn, turn_of
from load.workloads.setup import set_up

NAME = "historian"
LEAD_NS = SECOND // 2
SCATTER = 4
"""A turn begins at a random moment of this part of its slot: a quarter."""
BACK_OFF_SECONDS = 1.0
LAST_ANSWER_SECONDS = 1.5
"""How long a stopped historian waits for the answers to what it has sent."""


@dataclass
class Chronicle:
    """What the sessions of all members share: the history, the numbers that tell its entries apart, and the events."""

    writer: HistoryWriter
    events: EventLog
    sessions: dict[int, int] = field(default_factory=dict)
    """The latest session of each member, by the member's number."""
    counts: Counter[str] = field(default_factory=Counter)
    highest: dict[str, int] = field(default_factory=dict)
    """The highest key that each workload has used."""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    operations: Iterator[int] = field(default_factory=lambda: count(time.monotonic_ns()))
    """No two processes on this host, the audit's included, begin to count at the same instant."""

    def add(self, attempt: Attempt, member: str, session: int, end_ns: int, outcome: Outcome) -> None:
        """Keep how an attempt has ended."""
        transaction = attempt.transaction
        name, keys = transaction.workload, [step.key for step in transaction.steps]
        self.counts[f"{name}/{outcome.name}"] += 1
        self.highest[name] = max(self.highest.get(name, 0), *keys)
        self.writer.add(Operation(
            workload=transaction.workload, session=session, member=member, op=attempt.op, start_ns=attempt.start_ns,
            end_ns=end_ns, outcome=outcome, acts=attempt.acts, level=transaction.level,
        ))


class Client:
    """The client of one member, by its number: one session after the other, a turn in each slot."""

    def __init__(
        self, number: int, plan: Plan, chronicle: Chronicle, open_: Callable[[], Connection],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._number = number
        self._name = plan.portal.vms[number].name
        self._seed, self._members = plan.seed, len(plan.portal.vms)
        self._chronicle = chronicle
        self._open = open_
        self._clock = clock
        self._session: Session | None = None
        self._away = False
        self._under_way: tuple[Attempt, int] | None = None
        self._ended = False
        self._lock = threading.Lock()

    def run(self, schedule: Schedule, stop: threading.Event) -> None:
        """Take turns until told to stop. A slot that passed meanwhile is left out."""
        begin_ns, period = schedule.due_ns, schedule.period_ns
        late = random.Random(f"{self._seed}/{self._number}").randrange
        pause_ns = 0
        while not stop.wait(self._seconds_until(schedule.due_ns + late(max(1, period // SCATTER)), pause_ns)):
            taken = schedule.take(max(schedule.due_ns, self._clock()))
            pause_ns = 0 if self._turn((taken - begin_ns) // period) else round(BACK_OFF_SECONDS * SECOND)
        if self._session is not None:
            self._session.close()

    def abandon(self) -> None:
        """The history has ended: write down what is certain about a transaction under way, and begin no other."""
        with self._lock:
            self._ended = True
            under_way, self._under_way = self._under_way, None
        if under_way is not None:
            attempt, session = under_way
            self._chronicle.add(attempt, self._name, session, self._clock(), attempt.give_up())

    def _seconds_until(self, due_ns: int, pause_ns: int) -> float:
        return max(pause_ns, due_ns - self._clock()) / 1e9

    def _turn(self, slot: int) -> bool:
        """Take one turn; whether the member still has its session."""
        session = self._connected()
        if session is None:
            return False
        sessions = dict(self._chronicle.sessions)
        turn = Turn(self._seed, slot, self._number, session.number, sessions, self._members)
        return all(self._attempt(session, transaction) for transaction in turn_of(turn))

    def _attempt(self, session: Session, transaction: Transaction) -> bool:
        """Try one transaction; whether the session can go on."""
        attempt = Attempt(transaction, next(self._chronicle.operations), self._clock())
        with self._lock:
            if self._ended:
                return False
            self._under_way = (attempt, session.number)
        try:
            outcome = session.attempt(attempt)
        except TooLateError:
            return False
        end_ns = self._clock()
        with self._lock:
            counts, self._under_way = self._under_way is not None, None
        if counts:
            self._chronicle.add(attempt, self._name, session.number, end_ns, outcome)
        if session.lost:
            self._session = None
            self._tell(
                "lost", session=session.number, reason=session.lost, outcome=outcome.name,
                workload=transaction.workload,
            )
        return not session.lost

    def _connected(self) -> Session | None:
        if self._session is None:
            try:
                connection = self._open()
            except FAULTS as error:
                if not self._away:
                    self._tell("away", reason=reason_of(error))
                self._away = True
                return None
            self._away = False
            self._session = Session(next(self._chronicle.numbers), connection)
            self._chronicle.sessions[self._number] = self._session.number
            self._tell("session", session=self._session.number)
        return self._session

    def _tell(self, kind: str, **data: Any) -> None:
        with self._lock:
            if not self._ended:
                self._chronicle.events.add(NAME, kind, self._name, **data)


def keep(observer: Observer, password: str) -> bool:
    """Keep the history until told to stop; False when a client has died of an error of its own."""
    plan = observer.plan
    period = period_ns(plan.load.history_rate / len(plan.portal.vms))
    with HistoryWriter(_free_shard(observer)) as writer:
        chronicle = Chronicle(writer, observer.case.events)
        clients = [_client(observer, number, chronicle, password) for number in range(len(plan.portal.vms))]
        begin = time.monotonic_ns() + LEAD_NS
        threads = [
            threading.Thread(target=client.run, args=(Schedule(begin, period), observer.stop), daemon=True)
            for client in clients
        ]
        for thread in threads:
            thread.start()
        ready(observer)
        alive = True
        while alive and not observer.stop.wait(STATUS_SECONDS):
            writer.flush()
            # Told to stop since the wait: then clients have ended in good order.
            alive = all(thread.is_alive() for thread in threads) or observer.stop.is_set()
        observer.stop.set()
        _finish(clients, threads)
    observer.case.events.add(
        NAME, "tally", operations=writer.written, outcomes=dict(sorted(chronicle.counts.items())),
        highest=chronicle.highest,
    )
    return alive


def main(plan: Plan) -> int:
    """Keep the history until SIGTERM; at the rate 0 there is none."""
    rate = plan.load.history_rate
    shares = {machine.name: rate / len(plan.portal.vms) for machine in plan.portal.vms}
    with observing(NAME, plan, (), rates=shares) as observer:
        if rate == 0:
            ready(observer)
            rest(observer)
            return 0
        password = sql_password()
        return 0 if not prepared(observer, password) or keep(observer, password) else 1


def prepared(observer: Observer, password: str) -> bool:
    """Try to make the tables, through one member after the other, until all have them; False when stopped before."""
    told = ""
    for machine in cycle(observer.plan.portal.vms):
        try:
            facts = set_up(observer.plan, machine, password)
        except FAULTS as error:
            reason = reason_of(error)
            if reason != told:
                observer.case.events.add(NAME, "setup-failed", machine.name, reason=reason)
            told = reason
        else:
            observer.case.events.add(NAME, "setup", **facts)
            return True
        if observer.stop.wait(BACK_OFF_SECONDS):
            break
    return False


def _client(observer: Observer, number: int, chronicle: Chronicle, password: str) -> Client:
    plan = observer.plan
    address = plan.portal.vms[number].address
    # A lock that is waited for until the client's own limit leaves its transaction open; the member's answer does not.
    patience = max(1, int(plan.load.timeout_seconds / 2))
    first = f"SET SESSION innodb_lock_wait_timeout = {patience}"
    return Client(number, plan, chronicle, lambda: connect(plan, address, password, init_command=first))


def _finish(clients: Sequence[Client], threads: Sequence[threading.Thread]) -> None:
    deadline = Deadline(LAST_ANSWER_SECONDS)
    for thread in threads:
        thread.join(deadline.remaining)
    for client in clients:
        client.abandon()


def _free_shard(observer: Observer) -> Path:
    """A shard that no earlier historian of the same case has written."""
    return observer.case.history_shard(f"{NAME}-{os.getpid()}")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
