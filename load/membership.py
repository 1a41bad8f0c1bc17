"""Membership: how each member sees itself and its cluster, and how one that was away came back.

One cheap look at each member, on a schedule and over a connection of its own. A look that fails is on the record, and
so is the number of looks: silence of this observer cannot pass for peace.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import pymysql

from drainproof.wait import Deadline
from load.joins import VARIABLES, Absence, Files, Look, Standing, way_of
from load.observer import Observer, observing, ready, rest, run
from load.plan import Machine, Plan, sql_password
from load.schedule import SECOND, Schedule, stagger
from load.sql import Connection, connect, execute, reason_of

NAME = "membership"
LOOK_SECONDS = 2.0
"""A look that takes longer has failed."""
TELL_NS = 5 * SECOND
"""How often a state that lasts is told again, and how many looks there were."""
STATUS = "SHOW GLOBAL STATUS WHERE Variable_name IN ({})".format(", ".join(f"'{name}'" for name in VARIABLES.values()))
FILES = (
    "SELECT table_name, UNIX_TIMESTAMP(create_time) FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
)
SIZE = "SELECT SUM(file_size) FROM information_schema.innodb_sys_tablespaces"
FAULTS = (pymysql.MySQLError, OSError)

Looks = MutableMapping[str, Look]
"""The latest look at each member that stands in its cluster, by its name."""
Tell = Callable[..., object]


class Watcher:
    """Looks at one member; `tell` takes the kind of an event and its data."""

    def __init__(self, name: str, open_: Callable[[], Connection], tell: Tell, latest: Looks) -> None:
        self._name = name
        self._open = open_
        self._tell = tell
        self._latest = latest
        self._standing = Standing()
        self._connection: Connection | None = None
        self._files: Files | None = None
        self._others: dict[str, int] = {}
        self._left_ns: int | None = None
        self._to_tell: Absence | None = None
        self._told: Look | None = None
        self._lost = ""

    def look(self, clock: Callable[[], int]) -> bool:
        """Look once and tell what is new; whether the member answered."""
        try:
            connection = self._connected()
            look = Look.of(clock(), dict(execute(connection, STATUS)))
            self._seen(look)
            self._tell_join(connection)
        except FAULTS as error:
            self._failed(clock(), reason_of(error))
            return False
        return True

    def close(self) -> None:
        """End the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*FAULTS):
                connection.close()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _seen(self, look: Look) -> None:
        told = self._told
        self._to_tell = self._standing.looked(look) or self._to_tell
        if self._lost or told is None or not look.same_as(told) or look.at_ns - told.at_ns >= TELL_NS:
            self._told, self._lost = look, ""
            self._tell("state", **look.told())
        if look.synced:
            self._latest[self._name] = look
        self._count_others()

    def _failed(self, at_ns: int, reason: str) -> None:
        self.close()
        self._standing.failed(at_ns)
        self._count_others()
        if reason != self._lost:
            self._lost = reason
            self._tell("lost", reason=reason)

    def _count_others(self) -> None:
        """Note, once, what the others had replicated when this member left: what they add is what it misses."""
        since = self._standing.since_ns
        if since not in (None, self._left_ns):
            self._left_ns = since
            self._latest.pop(self._name, None)
            self._others = {name: look.volume for name, look in list(self._latest.items())}

    def _tell_join(self, connection: Connection) -> None:
        """Tell how an absence has ended, once the member's files could be read too."""
        absence = self._to_tell
        if absence is None and (self._files is not None or self._standing.since_ns is not None):
            return
        files = {str(name): str(made) for name, made in execute(connection, FILES)}
        if absence is not None:
            way, evidence = way_of(absence, self._files or {}, files)
            size, counted = self._bytes(connection, way, absence.share)
            self._tell(
                "join", way=way, since_ns=absence.since_ns, seconds=round(absence.seconds, 3), bytes=size,
                evidence=f"{evidence}; {counted}", restarted=absence.restarted, handed_over=absence.handed_over,
                states=list(absence.states),
            )
        self._files, self._to_tell = files, None

    def _bytes(self, connection: Connection, way: str, share: float) -> tuple[int | None, str]:
        """About how much was transferred, and what that is a measure of. A joiner does not count what it is handed."""
        if way == "none":
            return 0, "nothing was transferred"
        if way == "SST":
            return int(execute(connection, SIZE)[0][0] or 0), "the bytes are the size of all its table files"
        grown = [
            look.volume - self._others[name]
            for name, look in list(self._latest.items()) if name in self._others and name != self._name
        ]
        if not grown or max(grown) < 0:
            return None, "no other member stood in the cluster all the time to count the bytes"
        return round(share * max(grown)), "the bytes are their share of what another member replicated meanwhile"


def watch(observer: Observer, watcher: Watcher, name: str, schedule: Schedule) -> None:
    """Look at one member whenever it is time, until the observer stops."""
    begin, looks, failed = time.monotonic_ns(), 0, 0
    while not observer.stop.wait(max(0, schedule.due_ns - time.monotonic_ns()) / 1e9):
        schedule.take(time.monotonic_ns())
        failed += not watcher.look(time.monotonic_ns)
        looks += 1
        now = time.monotonic_ns()
        if now - begin >= TELL_NS:
            observer.case.events.add(NAME, "looks", name, from_ns=begin, to_ns=now, looks=looks, failed=failed)
            begin, looks, failed = now, 0, 0
    watcher.close()
    observer.case.events.add(
        NAME, "looks", name, from_ns=begin, to_ns=time.monotonic_ns(), looks=looks, failed=failed
    )


def main(plan: Plan) -> int:
    """Look until SIGTERM."""
    password, machines = sql_password(), plan.portal.vms
    rates = {machine.name: plan.load.membership_rate for machine in machines}
    latest: Looks = {}
    with observing(NAME, plan, (), rates=rates) as observer:
        schedules = stagger(time.monotonic_ns() + SECOND // 10, list(rates.values()))
        threads = []
        for machine, schedule in zip(machines, schedules, strict=True):
            watcher = _watcher(observer, machine, password, latest)
            arguments = (observer, watcher, machine.name, schedule)
            threads.append(threading.Thread(target=watch, args=arguments, daemon=True))
            threads[-1].start()
        ready(observer)
        rest(observer)
        deadline = Deadline(2 * LOOK_SECONDS)
        for thread in threads:
            thread.join(deadline.remaining)
    return 0


def _watcher(observer: Observer, machine: Machine, password: str, latest: Looks) -> Watcher:
    seconds = min(LOOK_SECONDS, observer.plan.load.timeout_seconds)
    limits = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), seconds)

    def tell(kind: str, **data: Any) -> None:
        if not observer.stop.is_set():
            observer.case.events.add(NAME, kind, machine.name, **data)

    return Watcher(machine.name, lambda: connect(observer.plan, machine.address, password, **limits), tell, latest)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
