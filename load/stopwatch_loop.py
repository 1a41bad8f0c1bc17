"""The stopwatch itself, at one vantage point: a child of `load.stopwatch` that does nothing but probe.

`python -m load.stopwatch_loop PLAN --vantage NAME --spool FD [--heartbeats FD] --control PORT [--priority LEVEL]`
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from drainproof.errors import CannotRunError
from drainproof.record.spool import Spool
from drainproof.streams import CONTROL, TCP_KEPT, TCP_NEW, UDP, Stream
from load.plan import Plan
from load.planes.book import Book
from load.planes.connects import Connects
from load.planes.datagrams import ArrivalClock, Echo
from load.planes.heartbeats import RENEWAL_NS, Heartbeats
from load.planes.kept import Kept
from load.planes.loop import Loop
from load.priority import end_with_parent, pin, take_level, tighten_timers
from load.schedule import SECOND, JitteredSchedule, Schedule, period_ns, stagger
from load.stopwatch_streams import View, view_of
from load.telling import Teller

LEAD_NS = SECOND // 5
"""How long after start the first probe is due: kept connections stand by then."""
LISTEN_NS = SECOND // 100
"""How often it is asked at the end whether all answers have come."""
LOCALHOST = "127.0.0.1"


class Stopwatch:
    """All planes of one vantage point on one loop."""

    def __init__(
        self, plan: Plan, view: View, spools: list[Spool], control_port: int, teller: Teller,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._plan = plan
        self._view = view
        self._clock = clock
        self._teller = teller
        self._book = Book(spools[0], round(plan.load.probe_timeout_seconds * SECOND))
        self._number = {stream: number for number, stream in enumerate(view.rates)}
        self._peers = {target.name: target.address for target in plan.portal.targets}
        self._web = {target.name: (target.address, plan.portal.web_port(target)) for target in plan.portal.targets}
        self.loop = Loop(self._book, len(view.rates), clock)
        self._arrivals = ArrivalClock(clock)
        begin = clock() + LEAD_NS
        self.echoes = self._echoes(begin, control_port)
        self._kept = self._kept_connections(begin)
        self._connects = self._new_connections(begin)
        self.heartbeats = self._heartbeats(begin, spools[1]) if view.heartbeats else []
        self._planes: list[Echo | Kept | Connects | Heartbeats] = [
            *self.echoes, *self._kept, *self._connects, *self.heartbeats
        ]
        self.loop.add(*self._planes)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Probe until told to stop, then take the answers under way, as long as their limit allows."""
        self.loop.run(stopped)
        self._listen()
        for plane in self._planes:
            plane.close()
        self.loop.close()

    def _listen(self) -> None:
        clock, limit = self._clock, self._book.limit_ns
        first, end = self._book.first_since(clock() - limit), clock() + limit
        while self._book.waits(first) and clock() < end:
            self.loop.run(self._past(clock() + LISTEN_NS), sending=False)

    def _past(self, instant_ns: int) -> Callable[[], bool]:
        return lambda: self._clock() >= instant_ns

    @property
    def ports(self) -> list[int]:
        """Our own ports for datagrams."""
        return [*(echo.port for echo in self.echoes), *(heartbeats.port for heartbeats in self.heartbeats)]

    def _strict(self, begin_ns: int) -> dict[Stream, Schedule]:
        """The schedules of all strict streams, no two to targets due together; the control shares wakes with the first.

        A wake costs more than a probe, and what the control misses at the same instant, the client has missed.
        """
        rates = {stream: rate for stream, rate in self._view.rates.items() if stream.kind not in (TCP_NEW, CONTROL)}
        schedules = dict(zip(rates, stagger(begin_ns, list(rates.values())), strict=True))
        control = self._view.control
        return {control: Schedule(begin_ns, period_ns(self._view.rates[control])), **schedules}

    def _echoes(self, begin_ns: int, control_port: int) -> list[Echo]:
        make = partial(Echo, self.loop, self._book, self._arrivals)
        return [
            make(self._number[stream], times, self._datagram_peer(stream, control_port))
            for stream, times in self._strict(begin_ns).items() if stream.kind in (UDP, CONTROL)
        ]

    def _datagram_peer(self, stream: Stream, control_port: int) -> tuple[str, int]:
        if stream.kind == CONTROL:
            return LOCALHOST, control_port
        return self._peers[stream.target], self._plan.portal.agent_port

    def _kept_connections(self, begin_ns: int) -> list[Kept]:
        return [
            Kept(
                self.loop, self._book, partial(self._tell, stream), self._number[stream], times,
                (self._peers[stream.target], self._plan.portal.agent_port), self._clock,
            )
            for stream, times in self._strict(begin_ns).items() if stream.kind == TCP_KEPT
        ]

    def _new_connections(self, begin_ns: int) -> list[Connects]:
        return [
            Connects(
                self.loop, self._book, self._number[stream],
                JitteredSchedule(begin_ns, period_ns(rate), f"{self._plan.seed}/{stream.name}"),
                self._web[stream.target], self._clock,
            )
            for stream, rate in self._view.rates.items() if stream.kind == TCP_NEW
        ]

    def _heartbeats(self, begin_ns: int, spool: Spool) -> list[Heartbeats]:
        begin, share = begin_ns - LEAD_NS // 2, RENEWAL_NS // len(self._view.heartbeats)
        return [
            Heartbeats(
                self.loop, spool, self._arrivals, number, Schedule(begin + number * share, RENEWAL_NS),
                (self._peers[stream.target], self._plan.portal.agent_port),
                rate=rate, token=_token(f"{self._plan.run_id}/{stream.name}/{os.getpid()}"),
            )
            for number, (stream, rate) in enumerate(self._view.heartbeats.items())
        ]

    def _tell(self, stream: Stream, t_ns: int, kind: str, facts: dict[str, Any]) -> None:
        self._teller.tell(kind, stream.name, t_ns, **facts)


def _token(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "little")


class _Stop:
    """Whether this process was told to end, or nobody listens to it any more."""

    def __init__(self, teller: Teller) -> None:
        self._told = False
        self._teller = teller
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)

    def __call__(self) -> bool:
        return self._told or self._teller.broken

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True


def main(arguments: list[str]) -> int:
    """Probe until told to end; 3 when that is impossible."""
    options = _options(arguments)
    end_with_parent()
    teller = Teller()
    stop = _Stop(teller)
    try:
        plan = Plan.read(options.plan)
        view = view_of(plan, options.vantage)
        spools = [Spool.open(fd) for fd in (options.spool, options.heartbeats) if fd is not None]
        stopwatch = Stopwatch(plan, view, spools, options.control, teller)
        gc.collect()
        gc.freeze()
        gc.disable()  # the loop makes no reference cycles
        granted = take_level(options.priority)  # only now: starting up shall not hold up another loop
    except CannotRunError as error:
        print(*error.reasons, sep="\n", file=sys.stderr)
        return 3
    tighten_timers()
    processor = pin(options.place) if granted.startswith("SCHED") else None
    facts: dict[str, Any] = {"vantage": view.vantage, "pid": os.getpid()}
    teller.tell("loop", priority=granted, cpu=processor, ports=stopwatch.ports, **facts)
    stopwatch.run(stop)
    usage = os.times()
    os.set_blocking(1, True)
    teller.tell("loop-end", cpu_seconds=round(usage.user + usage.system, 3), untold=teller.dropped, **facts)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="load.stopwatch_loop")
    parser.add_argument("plan", type=Path)
    parser.add_argument("--vantage", required=True)
    parser.add_argument("--spool", type=int, required=True)
    parser.add_argument("--heartbeats", type=int)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--priority", default="realtime")
    parser.add_argument("--place", type=int, default=0, help="which processor to stay on, counted from the last one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
