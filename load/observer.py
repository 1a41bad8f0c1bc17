"""The life cycle every observer shares: start, samples to disk, status lines, metrics, stop on SIGTERM.

An observer reports to its harness in JSON lines on standard output and ends when it is told to, when nobody reads these
lines any more, or when its parent has gone, so that a killed harness leaves no load behind.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from drainproof.errors import CannotRunError
from drainproof.record import Case, SampleWriter
from load.exporter import exporting
from load.plan import Plan
from load.priority import Priority, take_priority
from load.recorder import Recorder
from load.schedule import SECOND, Schedule, StallWatch

STATUS_SECONDS = 0.5
TICK_NS = SECOND // 20


@dataclass(frozen=True)
class Observer:
    """A running observer: what its own loop needs."""

    name: str
    plan: Plan
    case: Case
    recorder: Recorder
    stop: threading.Event
    """Set when the observer shall end."""


@contextmanager
def observing(
    name: str, plan: Plan, streams: Sequence[str], *, rates: Mapping[str, float] | None = None,
    priority: Priority = Priority.PLAIN, ticking: bool = True,
) -> Iterator[Observer]:
    """An observer that lives for the length of a block.

    `ticking` watches from a thread of its own whether this process runs; a loop that watches itself does without it.
    The block shall report readiness with `ready` and end soon after `stop` is set. Raises what went wrong in the
    background, after everything was written that could be.
    """
    taken = take_priority(priority)
    _allow_many_files()
    case = Case(plan.case_dir)
    observer = Observer(name, plan, case, Recorder(streams, time.monotonic_ns()), threading.Event())
    _stop_on_signals(observer.stop)
    scribe = Scribe(observer, _free_shard(case, name) if streams else None)
    with exporting(name, observer.recorder, plan.metrics_address, plan.metrics_ports.get(name)) as metrics:
        case.events.add(
            name, "start", pid=os.getpid(), streams=list(streams), rates=dict(rates or {}), priority=taken,
            metrics=metrics,
        )
        scribe.start()
        ticker = threading.Thread(target=tick, args=(observer,), name="ticker", daemon=True)
        if ticking:
            ticker.start()
        try:
            yield observer
        finally:
            observer.stop.set()
            scribe.finish()
            _say_goodbye(observer)
    if scribe.failure is not None:
        raise scribe.failure


def ready(observer: Observer) -> None:
    """Tell the harness that observation has begun."""
    report({"kind": "ready", "observer": observer.name})


def report(content: Mapping[str, Any]) -> None:
    """One JSON line to the harness."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def run(main: Callable[[Plan], int], arguments: Sequence[str]) -> int:
    """The entry of every observer: read the plan named by the only argument and run; 3 when that is impossible."""
    try:
        if len(arguments) != 1:
            raise CannotRunError(f"Expected the path of a plan as the only argument, not {len(arguments)} arguments.")
        return main(Plan.read(Path(arguments[0])))
    except CannotRunError as error:
        print(*error.reasons, sep="\n", file=sys.stderr)
        return 3


def tick(observer: Observer, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """Wake twenty times a second, and note how late that was."""
    schedule = Schedule(clock() + TICK_NS, TICK_NS)
    watch = StallWatch(clock())
    while True:
        watch.asleep_until(schedule.due_ns)
        if observer.stop.wait(max(0, schedule.due_ns - clock()) / 1e9):
            return
        now = clock()
        stall = watch.awake(now)
        observer.recorder.lateness(watch.worst_ns, stall)
        if now >= schedule.due_ns:
            schedule.take(now)


class Scribe(threading.Thread):
    """Takes what was observed to disk and tells the harness how it goes, twice a second."""

    def __init__(self, observer: Observer, shard: Path | None) -> None:
        super().__init__(name="scribe", daemon=True)
        self.failure: OSError | None = None
        self._observer = observer
        self._finished = threading.Event()
        self._parent = os.getppid()
        self._told = (time.monotonic_ns(), 0)
        self._writer = SampleWriter(shard) if shard else None
        for stream in observer.recorder.streams:
            if self._writer is not None:
                self._writer.stream(stream.name)

    def run(self) -> None:
        """Work until told to finish, then once more for what came last."""
        try:
            while not self._finished.wait(STATUS_SECONDS):
                self._write()
                self._tell()
        except OSError as error:
            self.failure = error
            self._observer.stop.set()
        self._close()

    def finish(self) -> None:
        """Nothing more will be observed: write what is left and end."""
        self._finished.set()
        self.join()

    def _tell(self) -> None:
        try:
            report(self._status())
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the exit would fail on it once more
            self._observer.stop.set()
        if os.getppid() != self._parent:
            self._observer.stop.set()

    def _write(self) -> None:
        recorder, events, name = self._observer.recorder, self._observer.case.events, self._observer.name
        while recorder.rows:
            if self._writer is not None:
                self._writer.add(*recorder.rows.popleft())
        if self._writer is not None:
            self._writer.flush()
        while recorder.stalls:
            stall = recorder.stalls.popleft()
            events.add_at(
                stall.end_ns, name, "stall", late_ms=round(stall.late_ns / 1e6, 3), start_ns=stall.start_ns,
                end_ns=stall.end_ns,
            )
        while recorder.failures:
            failure = recorder.failures.popleft()
            events.add_at(
                failure.t_ns, name, "failure", failure.stream, outcome=failure.outcome.name, reason=failure.reason,
                key=failure.key,
            )

    def _close(self) -> None:
        try:
            self._write()
            if self._writer is not None:
                self._writer.close()
        except OSError as error:
            self.failure = self.failure or error

    def _status(self) -> dict[str, Any]:
        now, recorder = time.monotonic_ns(), self._observer.recorder
        before, operations = self._told
        self._told = (now, recorder.operations)
        return {
            "kind": "status",
            "rps": round((recorder.operations - operations) * 1e9 / max(1, now - before), 1),
            "failures": sum(stream.failures for stream in recorder.streams),
            "gap_ms": {stream.name: round(stream.gap.current_ns(now) / 1e6, 1) for stream in recorder.streams},
            "worst_gap_ms": {stream.name: round(stream.gap.longest_ns(now) / 1e6, 1) for stream in recorder.streams},
            "stall_ms": round(recorder.worst_lateness_ns / 1e6, 1),
            "samples": recorder.operations,
        }


def _say_goodbye(observer: Observer) -> None:
    recorder = observer.recorder
    usage = os.times()
    observer.case.events.add(
        observer.name, "stop", samples=recorder.operations,
        worst_lateness_ms=round(recorder.worst_lateness_ns / 1e6, 3), stall_seconds=round(recorder.stall_seconds, 3),
        cpu_seconds=round(usage.user + usage.system, 3),
    )
    observer.case.close()


def _allow_many_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop_on_signals(stop: threading.Event) -> None:
    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)


def _free_shard(case: Case, name: str) -> Path:
    """A shard that no earlier process of the same observer has written."""
    path, number = case.shard(name), 1
    while path.exists():
        number += 1
        path = case.shard(f"{name}-{number}")
    return path
