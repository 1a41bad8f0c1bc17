"""The clinic observer as Locust's master: its workers' staff works, their samples are written and exported here.

So the record, the figures and the life cycle are those of one observer, over however many processes or pods the staff
is spread. A worker that is lost takes samples with it that nobody has: then the observer ends with an error.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import gevent
import numpy as np
from locust import runners
from locust.env import Environment
from locust.runners import STATE_MISSING

from drainproof.errors import DrainproofError
from drainproof.exchange import Offset, clock_identity, spanning
from drainproof.record import Outcome
from drainproof.record.spool import PLAIN_ROW
from load.clinic_users import staff
from load.observer import Observer, ready
from load.plan import Plan
from load.recorder import Failure
from load.schedule import Stall

LOCALHOST: Final = "127.0.0.1"
START_SECONDS: Final = 120.0
"""How long workers may take to be there: their pods may have to be scheduled first."""
END_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.5
HEARTBEATS: Final = 10
"""So many of a worker's heartbeats, one a second, may be missing before it is lost; Locust's 3 would blame a busy host.
"""
PROJECT = Path(__file__).resolve().parent.parent


class WorkersError(DrainproofError):
    """Not all of Locust's workers came, stayed, and told all they had."""


class Takings:
    """What the workers send, put into the recorder of this process."""

    def __init__(self, observer: Observer, answer: Callable[[str, str, dict[str, Any]], None]) -> None:
        self.offsets: dict[str, Offset] = {}
        """By worker, what is added to its clock to get this one's."""
        self.done: dict[str, dict[str, Any]] = {}
        self._observer = observer
        self._answer = answer
        self._taken: dict[str, int] = {}

    def tell_time(self, msg: Any, **_: object) -> None:
        """Answer with the time: when the request was read, when the answer leaves."""
        received_ns = time.monotonic_ns()
        told = {"received_ns": received_ns, **clock_identity(), "sent_ns": time.monotonic_ns()}
        self._answer("clock", msg.node_id, told)

    def hello(self, msg: Any, **_: object) -> None:
        """A worker is there, and knows how far its clock lies from this one."""
        self.offsets[msg.node_id] = Offset(int(msg.data["offset_ns"]), int(msg.data["uncertainty_ns"]))
        self._observer.case.events.add(self._observer.name, "worker", msg.node_id, **msg.data)

    def take(self, msg: Any, **_: object) -> None:
        """Samples, failures and stalls of a worker, in the order in which it had them."""
        by_ns, recorder = self.offsets[msg.node_id].offset_ns, self._observer.recorder
        rows = np.frombuffer(msg.data["rows"], PLAIN_ROW)
        append = recorder.spools[0].append
        for row in rows.tolist():
            start, end, late, stream, outcome, _flags = row
            append(stream, start + by_ns - late, start + by_ns, end + by_ns, outcome)
        self._taken[msg.node_id] = self._taken.get(msg.node_id, 0) + len(rows)
        for one in msg.data["failures"]:
            told = {**one, "t_ns": one["t_ns"] + by_ns, "outcome": Outcome(one["outcome"])}
            recorder.failures.append(Failure(**told))
        for one in msg.data["stalls"]:
            moved = {"start_ns": one["start_ns"] + by_ns, "end_ns": one["end_ns"] + by_ns}
            recorder.lateness(0, Stall(**{**one, **moved}))

    def finished(self, msg: Any, **_: object) -> None:
        """A worker has sent all; its clock was compared once more."""
        self.done[msg.node_id] = msg.data
        after = Offset(int(msg.data["offset_ns"]), int(msg.data["uncertainty_ns"]))
        both = spanning(self.offsets[msg.node_id], after)
        events, name = self._observer.case.events, f"{self._observer.name}/{msg.node_id}"
        events.add("clock", "offset", name, one_clock=both.uncertainty_ns == 0, **asdict(both))

    def check_complete(self) -> None:
        """Raises WorkersError when a worker has sent more than came."""
        for worker, told in self.done.items():
            if told["samples"] != self._taken.get(worker, 0):
                raise WorkersError(f"worker {worker} sent {told['samples']} samples, {self._taken.get(worker, 0)} came")


def lead(observer: Observer, plan_file: Path) -> None:
    """Have the staff work, spread over the plan's workers, until the observer shall end; raises WorkersError."""
    plan = observer.plan
    runners.HEARTBEAT_LIVENESS = HEARTBEATS
    environment = Environment(user_classes=[staff(plan, observer.recorder)], host=plan.portal.front, stop_timeout=0)
    runner = environment.create_master_runner("*" if plan.clinic_port else LOCALHOST, plan.clinic_port)

    def answer(kind: str, worker: str, data: dict[str, Any]) -> None:
        runner.send_message(kind, data, client_id=worker)

    takings = Takings(observer, answer)
    for kind, listener in (
        ("clock", takings.tell_time), ("hello", takings.hello), ("samples", takings.take), ("done", takings.finished),
    ):
        runner.register_message(kind, listener)
    with _workers_of(plan, plan_file, runner.server.port) as check_children:
        _work(observer, runner, takings, check_children)


def _work(observer: Observer, runner: Any, takings: Takings, check_children: Callable[[], None]) -> None:
    plan = observer.plan
    _wait(observer, START_SECONDS, "came", check_children, lambda: len(takings.offsets) >= plan.clinic_workers)
    if not observer.stop.is_set():
        runner.start(plan.load.clinic_users, spawn_rate=plan.load.clinic_users)
        ready(observer)
    while not observer.stop.wait(LOOK_SECONDS):
        check_children()
        if lost := [node.id for node in runner.clients.all if node.state == STATE_MISSING]:
            raise WorkersError(f"Locust's workers {', '.join(lost)} are lost, and samples with them")
    workers = list(takings.offsets)
    runner.stop()
    for worker in workers:
        runner.send_message("finish", {}, client_id=worker)
    deadline = time.monotonic() + END_SECONDS
    while len(takings.done) < len(workers) and time.monotonic() < deadline:
        gevent.sleep(0.05)
    runner.quit()
    if missing := [worker for worker in workers if worker not in takings.done]:
        raise WorkersError(f"Locust's workers {', '.join(missing)} did not say how many samples they had")
    takings.check_complete()


def _wait(
    observer: Observer, seconds: float, what: str, check: Callable[[], None], done: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + seconds
    while not done() and not observer.stop.is_set():
        check()
        if time.monotonic() > deadline:
            raise WorkersError(f"not all of {observer.plan.clinic_workers} Locust workers {what} in {seconds:.0f} s")
        gevent.sleep(0.05)


@contextmanager
def _workers_of(plan: Plan, plan_file: Path, port: int) -> Iterator[Callable[[], None]]:
    """The workers as child processes, unless they are in other pods; yields what raises WorkersError once one died."""
    children = []
    try:
        for index in range(0 if plan.clinic_port else plan.clinic_workers):
            command = [sys.executable, "-m", "load.clinic_worker", str(plan_file), f"{LOCALHOST}:{port}", str(index)]
            children.append(subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL))

        def check() -> None:
            for index, child in enumerate(children):
                if (code := child.poll()) is not None:
                    raise WorkersError(f"Locust's worker {index} ended with code {code}, and its samples with it")

        yield check
        for child in children:
            child.wait(END_SECONDS)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
