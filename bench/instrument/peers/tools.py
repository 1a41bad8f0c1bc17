"""The tools: how each is started, how its output is read, and how to get it."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.instrument.crew import Crew, Member
from bench.instrument.peers import outputs
from bench.instrument.peers.readings import Requests

CONNECTIONS, RATE = 10, 100
"""Ten connections or users of a hundred requests a second each: as many a second as the stopwatch's echo."""
PING_SECONDS = 0.2
"""How often OpenStack's tempest pings."""


@dataclass(frozen=True, slots=True)
class Task:
    """Where a tool works and where it may write."""

    url: str
    address: str
    seconds: int
    directory: Path


@dataclass(frozen=True)
class Tool:
    """One peer that runs all the time and tells of its single requests."""

    name: str
    package: str
    how: str
    command: Callable[[Task], Sequence[str]]
    read: Callable[[Member, Task, int, int], Requests]
    """From the member, its task, when it was started, and by how much the wall clock is ahead of the monotonic one."""
    binary: str = ""
    timed: bool = False
    """It ends by itself when its time is over; the others are interrupted."""
    saturated: Callable[[Task], Sequence[str]] | None = None

    @property
    def present(self) -> bool:
        return shutil.which(self.binary or self.name) is not None

    @property
    def ending(self) -> signal.Signals | None:
        """How it is told to end, if it has to be told."""
        return None if self.timed else signal.SIGINT


def wall_ahead_ns() -> int:
    """What to take off a wall time to have the monotonic one."""
    return time.time_ns() - time.monotonic_ns()


def start(crew: Crew, tool: Tool, task: Task, namespace: str) -> tuple[Member, int]:
    """Start a tool; returns when that was, too."""
    begun = time.monotonic_ns()
    return crew.start(tool.name, tool.command(task), namespace=namespace), begun


def _locust(task: Task, rate: int) -> list[str]:
    module = [sys.executable, "-m", "bench.instrument.peers.locust_users"]
    return [*module, task.url.rstrip("/"), str(task.directory / "locust.npy"), str(CONNECTIONS), str(rate)]


def _read_locust(_member: Member, task: Task, _begun: int, _ahead: int) -> Requests:
    rows = np.load(task.directory / "locust.npy")
    return Requests(rows[:, 0], rows[:, 1], rows[:, 2] != 0)


TOOLS = (
    Tool(
        "hey", "hey", "each request by -o csv",
        lambda task: ["hey", "-z", f"{task.seconds}s", "-c", str(CONNECTIONS), "-q", str(RATE), "-o", "csv", task.url],
        lambda member, _task, begun, _ahead: outputs.hey(member.said(), begun),
        timed=True,
        saturated=lambda task: ["hey", "-z", f"{task.seconds}s", "-c", str(CONNECTIONS), "-o", "csv", task.url],
    ),
    Tool(
        "h2load", "nghttp2-client", "each request by --log-file, HTTP/1.1, --rps",
        lambda task: [
            "h2load", "--h1", "-c", str(CONNECTIONS), "-t", "1", "--rps", str(RATE), "-D", str(task.seconds),
            "--log-file", str(task.directory / "h2load.txt"), task.url,
        ],
        lambda _member, task, _begun, ahead: outputs.h2load((task.directory / "h2load.txt").read_text(), ahead),
        timed=True,
        saturated=lambda task: [
            "h2load", "--h1", "-c", str(CONNECTIONS), "-t", "1", "-D", str(task.seconds),
            "--log-file", str(task.directory / "h2load.txt"), task.url,
        ],
    ),
    Tool(
        "Locust", "", "each request of FastHttpUser by its request event",
        lambda task: _locust(task, RATE), _read_locust, binary=sys.executable, saturated=lambda task: _locust(task, 0),
    ),
    Tool(
        "fping", "fping", "each echo by -D -l, every millisecond",
        lambda task: ["fping", "-D", "-l", "-p", "1", "-i", "0.5", "-t", "1000", task.address],
        lambda member, _task, _begun, ahead: outputs.fping(member.said(), ahead),
    ),
    Tool(
        "ping", "iputils-ping", f"each echo by -D -O, every {PING_SECONDS} s as tempest does",
        lambda task: ["ping", "-D", "-O", "-i", str(PING_SECONDS), task.address],
        lambda member, _task, _begun, ahead: outputs.ping(member.said(), ahead),
    ),
)


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk tells of a run as a whole, so it runs once for each slot of the contest."""

    name: str = "wrk"
    package: str = "wrk"
    how: str = "slowest request and errors of a run of 4 s each"

    @property
    def present(self) -> bool:
        return shutil.which(self.name) is not None

    def command(self, task: Task, *, paced: bool = True) -> list[str]:
        """At the rate of the others by its own delay(), or as fast as it can."""
        argv = ["wrk", "-c", str(CONNECTIONS), "-t", "1", "-d", f"{task.seconds}s", "--timeout", "10s"]
        if paced:
            script = task.directory / "delay.lua"
            script.write_text(f"function delay() return {1000 // RATE} end\n")
            argv += ["-s", str(script)]
        return [*argv, task.url]
