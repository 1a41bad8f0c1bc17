"""What a Locust worker does with its samples: they go to the master in batches, on the master's clock.

Messages to the master, all of Locust's own connection: `clock` (asks the time), `hello` (index and how surely the clock
is known), `samples` (rows as in a spool, failures, stalls), `done` (how many samples were sent in all, and the clock
again). The master says `finish` when the staff has stopped.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import AsyncResult, Event
from locust import runners
from locust.env import Environment

from drainproof.errors import CannotRunError, DrainproofError
from drainproof.exchange import Offset, clock_identity, estimate, exchanged, same_clock
from drainproof.record.spool import Spool
from load.clinic_users import STREAMS, hook, staff
from load.observer import watch_stalls
from load.plan import Plan
from load.recorder import Recorder

REPORT_SECONDS: Final = 0.5
"""How often samples go to the master: the figures of the clinic are so much behind."""
ANSWER_SECONDS: Final = 10.0
SEEDS_APART: Final = 1_000_003
"""How far the seeds of two workers lie apart: else all their staff would do the same."""


class Forwarder:
    """Takes what was recorded to the master."""

    def __init__(self, runner: Any, recorder: Recorder) -> None:
        self._runner = runner
        self._recorder = recorder
        self._sent = 0
        self._answer: AsyncResult[Mapping[str, Any]] = AsyncResult()
        self._over = Event()
        runner.register_message("clock", self._told_time)
        runner.register_message("finish", self._finish)

    def offset(self) -> tuple[Offset, bool]:
        """What must be added to this clock to get the master's, and whether both are one; raises DrainproofError."""
        other = self._ask_time()
        found = estimate(exchanged(self._ask_time, time.monotonic_ns))
        there = Offset(-found.offset_ns, found.uncertainty_ns)
        one = same_clock(clock_identity(), other) and there.holds(0)
        return (Offset(0, 0) if one else there), one

    def hello(self, index: int, offset: Offset, *, one: bool) -> None:
        """Say that this worker may be given users."""
        self._runner.send_message("hello", {"index": index, "one_clock": one, **asdict(offset)})

    def forward(self) -> None:
        """Send what was recorded since the last time."""
        spool, recorder = self._recorder.spools[0], self._recorder
        rows = spool.rows(self._sent, spool.written)
        self._sent += len(rows)
        failures = [_plain(recorder.failures.popleft()) for _ in range(len(recorder.failures))]
        stalls = [_plain(recorder.stalls.popleft()) for _ in range(len(recorder.stalls))]
        if len(rows) or failures or stalls:
            self._runner.send_message("samples", {"rows": rows.tobytes(), "failures": failures, "stalls": stalls})

    def run(self) -> None:
        """Forward until the master has said that it is over, and the last sample is sent."""
        while not self._over.wait(REPORT_SECONDS):
            self.forward()
        self.forward()
        after, _ = self.offset()
        stalled = self._recorder.stall_seconds
        self._runner.send_message("done", {"samples": self._sent, "stall_seconds": stalled, **asdict(after)})

    def _ask_time(self) -> Mapping[str, Any]:
        self._answer = AsyncResult()
        self._runner.send_message("clock", {})
        try:
            answer: Mapping[str, Any] = self._answer.get(timeout=ANSWER_SECONDS)
        except gevent.Timeout:
            raise DrainproofError("Locust's master did not tell its time; it has gone") from None
        return answer

    def _told_time(self, environment: object, msg: Any, **_: object) -> None:  # noqa: ARG002 - Locust's own names
        self._answer.set(msg.data)

    def _finish(self, **_: object) -> None:
        self._over.set()


def _plain(what: Any) -> dict[str, Any]:
    """What was recorded, as numbers and words that a message can hold."""
    return {name: getattr(value, "value", value) for name, value in asdict(what).items()}


def main(arguments: Sequence[str]) -> int:
    """Work until the master says that it is over; 3 when that is impossible."""
    logging.basicConfig(level=logging.WARNING)
    try:
        plan_file, master, index = arguments
        host, _, port = master.rpartition(":")
        return work(Plan.read(Path(plan_file)), host, int(port), int(index))
    except (CannotRunError, ValueError) as error:
        print(f"expected PLAN HOST:PORT INDEX: {error}", file=sys.stderr)
        return 3


def work(plan: Plan, host: str, port: int, index: int) -> int:
    """Be one worker of the master at an address."""
    runners.WORKER_REPORT_INTERVAL = REPORT_SECONDS
    recorder = Recorder([Spool.create(STREAMS)], time.monotonic_ns())
    seeded = plan.model_copy(update={"seed": SEEDS_APART * (index + 1) + plan.seed})
    random.seed(seeded.seed)  # Locust chooses tasks by the module's own generator
    environment = Environment(user_classes=[staff(seeded, recorder)], stop_timeout=0)
    environment.events.request.add_listener(hook(recorder))  # type: ignore[no-untyped-call]
    runner = environment.create_worker_runner(host, port)
    forwarder = Forwarder(runner, recorder)
    offset, one = forwarder.offset()
    forwarder.hello(index, offset, one=one)
    gevent.spawn(watch_stalls, recorder, threading.Event())
    forwarder.run()
    runner.greenlet.join()
    return 0

