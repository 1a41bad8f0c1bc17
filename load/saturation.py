"""What a probe costs at least: echo requests as fast as they are answered, over the stopwatch's own plane."""

from __future__ import annotations

import gc
import select
import time
from dataclasses import dataclass

from drainproof.record.spool import Spool
from load.planes.book import Book
from load.planes.datagrams import ArrivalClock, Echo
from load.planes.loop import Loop
from load.schedule import SECOND, Schedule

WINDOW = 64
"""Requests under way at once."""
LOST_SECONDS = 0.05
"""After this long without an answer a whole window is taken for lost, and the next is sent."""


@dataclass(frozen=True, slots=True)
class Saturation:
    """How many probes there were, how many were answered in time, and what they took."""

    probes: int
    answered: int
    cpu_ns: int
    wall_ns: int

    @property
    def cpu_us_per_probe(self) -> float:
        """Processor time of this process alone."""
        return self.cpu_ns / 1000 / max(1, self.probes)


def saturate(address: str, port: int, probes: int, window: int = WINDOW) -> Saturation:
    """Send so many echo requests, each as soon as there is room in the window; every one is a row in a spool."""
    spool = Spool.create(["udp/target", "away/client"])
    book = Book(spool, SECOND)
    loop = Loop(book, 1)
    echo = Echo(loop, book, ArrivalClock(), 0, Schedule(0, SECOND), (address, port))
    collecting = gc.isenabled()
    gc.disable()
    try:
        begun_ns, begun_cpu_ns = time.monotonic_ns(), time.process_time_ns()
        answered = _run(echo, probes, window)
        cpu_ns, wall_ns = time.process_time_ns() - begun_cpu_ns, time.monotonic_ns() - begun_ns
    finally:
        if collecting:
            gc.enable()
    echo.close()
    loop.close()
    spool.close()
    return Saturation(probes, answered, cpu_ns, wall_ns)


def _run(echo: Echo, probes: int, window: int) -> int:
    sent = under_way = answered = 0
    clock, waiting = time.monotonic_ns, (echo.fileno(),)
    while sent < probes or under_way:
        for _ in range(min(window - under_way, probes - sent)):
            echo.fire(clock())
            sent += 1
            under_way += 1
        if not select.select(waiting, (), (), LOST_SECONDS)[0]:
            under_way = 0
        while (taken := echo.take()) is not None:
            answered += taken
            under_way -= taken
    return answered
