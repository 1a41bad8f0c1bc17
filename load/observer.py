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
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from drainproof.errors import CannotRunError, RecordError
from drainproof.record import Case
from drainproof.record.shards import ShardWriter
from drainproof.record.spool import Spool
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
    priority: Priority = Priority.PLAIN, ticking: bool = True, keyed: bool = False,
    spools: Mapping[str, Spool] | None = None, limit_ns: int | None = None, settle_ns: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Iterator[Observer]:
    """An observer that lives for the length of a block.

    Its samples go to one spool of its `streams`, or to the given `spools` by the names of their shards. `limit_ns` and
    `settle_ns` are those of operations that have not ended (see Recorder); both are the plan's timeout if not given.
    `facts` go with the event of the start. `ticking` watches from a thread of its own whether this process runs; a loop
    that watches itself does without it.
    The block shall report readiness with `ready` and end soon after `stop` is set. Raises what went wrong in the
    background, after everything was written that could be.
    """
    taken = take_priority(priority)
    _allow_many_files()
    case = Case(plan.case_dir)
    if spools is None:
        spools = {name: Spool.create(streams, keyed=keyed)} if streams else {}
    limit = plan.timeout_ns if limit_ns is None else limit_ns
    settle = limit if settle_ns is None else settle_ns
    recorder = Recorder(list(spools.values()), time.monotonic_ns(), limit, settle)
    observer = Observer(name, plan, case, recorder, threading.Event())
    _stop_on_signals(observer.stop)
    scribe = Scribe(
        observer, [ShardWriter(_free_shard(case, shard), spool, limit, settle) for shard, spool in spools.items()]
    )
    with exporting(name, recorder, plan.metrics_address, plan.metrics_ports.get(name)) as metrics:
        case.events.add(
            name, "start", pid=os.getpid(), streams=list(streams), rates=dict(rates or {}), priority=taken,
            metrics=metrics, **(facts or {}),
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
            _say_goodbye(observer, scribe.writers)
    if scribe.failure is not None:
        raise scribe.failure


def rest(observer: Observer) -> None:
    """Wait until the observer shall end, awake now and then.

    The kernel may hand a signal to any thread, and Python's main thread heeds it only once it is awake.
    """
    while not observer.stop.wait(STATUS_SECONDS):
        pass


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
    watch_stalls(observer.recorder, observer.stop, clock)


def watch_stalls(recorder: Recorder, stop: threading.Event, clock: Callable[[], int] = time.monotonic_ns) -> None:
    """The same for a process that is a part of an observer, until `stop` is set."""
    schedule = Schedule(clock() + TICK_NS, TICK_NS)
    watch = StallWatch(clock())
    while True:
        watch.asleep_until(schedule.due_ns)
        if stop.wait(max(0, schedule.due_ns - clock()) / 1e9):
            return
        now = clock()
        stall = watch.awake(now)
        recorder.lateness(watch.worst_ns, stall)
        if now >= schedule.due_ns:
            schedule.take(now)


class Scribe(threading.Thread):
    """Takes what was observed to disk and tells the harness how it goes, twice a second."""

    def __init__(self, observer: Observer, writers: Sequence[ShardWriter]) -> None:
        super().__init__(name="scribe", daemon=True)
        self.failure: OSError | RecordError | None = None
        self.writers = writers
        self._observer = observer
        self._finished = threading.Event()
        self._parent = os.getppid()
        self._told = (time.monotonic_ns(), 0)

    def run(self) -> None:
        """Work until told to finish, then once more for what came last."""
        try:
            while not self._finished.wait(STATUS_SECONDS):
                for writer in self.writers:
                    writer.drain(time.monotonic_ns())
                self._write_events()
                self._tell()
        except (OSError, RecordError) as error:
            self.failure = error
            self._observer.stop.set()
            self._finished.wait()
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

    def _write_events(self) -> None:
        recorder, events, name = self._observer.recorder, self._observer.case.events, self._observer.name
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
        closing = [partial(writer.close, time.monotonic_ns()) for writer in self.writers]
        steps: list[Callable[[], object]] = [self._write_events, *closing]
        for step in steps:
            try:
                step()
            except (OSError, RecordError) as error:
                self.failure = self.failure or error

    def _status(self) -> dict[str, Any]:
        now, recorder = time.monotonic_ns(), self._observer.recorder
        before, counted = self._told
        with recorder.figures.upto(now) as streams:
            operations = sum(stream.operations for stream in streams)
            self._told = (now, operations)
            return {
                "kind": "status",
                "rps": round((operations - counted) * 1e9 / max(1, now - before), 1),
                "failures": sum(stream.failures for stream in streams),
                "gap_ms": {stream.name: round(stream.gap.current_ns(now) / 1e6, 1) for stream in streams},
                "worst_gap_ms": {stream.name: round(stream.gap.longest_ns(now) / 1e6, 1) for stream in streams},
                "stall_ms": round(recorder.worst_lateness_ns / 1e6, 1),
                "samples": operations,
            }


def _say_goodbye(observer: Observer, writers: Sequence[ShardWriter]) -> None:
    recorder = observer.recorder
    usage = os.times()
    observer.case.events.add(
        observer.name, "stop", samples=sum(writer.written for writer in writers),
        left_out=sum(writer.left_out for writer in writers),
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
