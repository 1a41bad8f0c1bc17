"""Guest image build, lab start, and what the control plane costs when nothing happens."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator

import psutil

from bench.figure import Figure, laboratory, timed
from lab import processes

NAME = "bench"
PORT = ("--api-port", "16900")
SETTLE_SECONDS = 10.0
WATCH_SECONDS = 20.0
CONTROL_PLANE = ("lab.api", "lab.controllers", "lab.agent")


def measure() -> Iterator[Figure]:
    """The figures of the lab alone."""
    with tempfile.TemporaryDirectory(prefix="drainproof-bench-") as cache:
        seconds, _ = timed("lab.image", "--cache", cache)
    yield Figure("guest image build", seconds, "s", "under 90 s")
    laboratory("up", NAME, *PORT)
    laboratory("down", NAME)
    try:
        seconds, _ = laboratory("up", NAME, *PORT)
        yield Figure("lab up, image cached", seconds, "s", "under 5 s")
        time.sleep(SETTLE_SECONDS)
        yield Figure("control plane idle, 4 nodes", 100 * _share_of_a_core(), "%", "under 5 % of a core")
    finally:
        laboratory("down", NAME)


def _share_of_a_core() -> float:
    """CPU time of API server, controllers and agents over a while, as a share of one core."""
    watched = [process for process in map(psutil.Process, processes.marked(NAME)) if _is_control_plane(process)]
    before = sum(_cpu(process) for process in watched)
    time.sleep(WATCH_SECONDS)
    return (sum(_cpu(process) for process in watched) - before) / WATCH_SECONDS


def _is_control_plane(process: psutil.Process) -> bool:
    return any(module in process.cmdline() for module in CONTROL_PLANE)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
