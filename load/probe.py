"""The stopwatch: HTTP requests at a constant rate on an absolute schedule, over new and over kept connections.

Open loop: what is due is sent, whether earlier requests were answered or not, so a slow or dead target delays nobody.
One thread, one epoll, no allocation that lasts and no garbage collection while it runs.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable
from heapq import heapify, heapreplace

from drainproof.record import Outcome
from drainproof.streams import HTTP_NEW, HTTP_REUSED
from load.connections import Connection, Connections, Request, Target
from load.observer import Observer, observing, ready, run
from load.plan import Plan
from load.priority import Priority
from load.recorder import Recorder
from load.schedule import SECOND, StallWatch, stagger

NAME = "probe"
PATH = "/healthz"
LEAD_NS = SECOND // 10
"""How long after start the first probe is due."""
LONGEST_SLEEP_NS = SECOND // 20
"""How long the loop sleeps at most before it looks whether it shall end."""


def streams_of(plan: Plan) -> dict[str, float]:
    """The probe's streams with their rates per second, new and kept connections of each target in turn."""
    load = plan.load
    rates = {HTTP_NEW: load.new_connection_rate, HTTP_REUSED: load.reused_connection_rate}
    kinds = {kind: rates[kind] for kind in load.http_kinds}
    return {f"{kind}/{target.name}": rate for target in plan.portal.targets for kind, rate in kinds.items()}


def targets_of(plan: Plan) -> list[Target]:
    """The target of each stream, in the order of `streams_of`."""
    portal = plan.portal
    return [
        Target(target.address, portal.web_port(target), PATH, keep=kind == HTTP_REUSED, host=portal.web_host(target))
        for target in portal.targets for kind in plan.load.http_kinds
    ]


class Probe:
    """The probe's loop; everything it knows of time comes from `clock`, in monotonic nanoseconds."""

    def __init__(self, plan: Plan, recorder: Recorder, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._recorder = recorder
        self._clock = clock
        self._timeout_ns = plan.timeout_ns
        self._targets = targets_of(plan)
        self._schedules = stagger(clock() + LEAD_NS, list(streams_of(plan).values()))
        self._next = [(schedule.due_ns, stream) for stream, schedule in enumerate(self._schedules)]
        heapify(self._next)
        self._under_way: deque[tuple[int, Connection, Request]] = deque()
        self._connections = Connections(self._done, clock)
        self._watch = StallWatch(clock())

    def run(self, stopped: Callable[[], bool]) -> None:
        """Probe until told to stop."""
        while not stopped():
            self.step()
        self._connections.close()

    def step(self) -> None:
        """Send what is due, give up what is overdue, then wait for answers until the next of either."""
        now = self._clock()
        stall = self._watch.awake(now)
        self._recorder.lateness(self._watch.worst_ns, stall)
        while self._next[0][0] <= now:
            self._send(self._next[0][1])
        until = min(self._next[0][0], now + LONGEST_SLEEP_NS, self._expire(now))
        self._watch.asleep_until(until)
        self._connections.wait(until)

    def _send(self, stream: int) -> None:
        start = self._clock()
        schedule = self._schedules[stream]
        request = Request(stream, schedule.take(start), start)
        heapreplace(self._next, (schedule.due_ns, stream))
        connection = self._connections.send(self._targets[stream], request)
        self._under_way.append((start + self._timeout_ns, connection, request))

    def _expire(self, now_ns: int) -> int:
        """Give up what is overdue; returns when the next may be. All have one timeout, so they expire in order."""
        under_way = self._under_way
        while under_way:
            expires, connection, request = under_way[0]
            if connection.request is request:
                if expires > now_ns:
                    return expires
                self._connections.give_up(connection, request)
            under_way.popleft()
        return now_ns + self._timeout_ns

    def _done(self, request: Request, now_ns: int, outcome: Outcome, reason: str) -> None:
        self._recorder.done(
            request.stream, request.intended_ns, request.start_ns, now_ns, outcome, reason=reason
        )


def main(plan: Plan) -> int:
    """Probe until SIGTERM."""
    rates = streams_of(plan)
    with observing(NAME, plan, list(rates), rates=rates, priority=Priority.REALTIME, ticking=False) as observer:
        _probe(observer)
    return 0


def _probe(observer: Observer) -> None:
    probe = Probe(observer.plan, observer.recorder)
    # The loop makes no reference cycles, and a scrape leaves less than 1 kB behind: nothing needs collecting.
    gc.collect()
    gc.freeze()
    gc.disable()
    ready(observer)
    probe.run(observer.stop.is_set)


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
