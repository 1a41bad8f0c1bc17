"""The processes of one measurement: started in a namespace, with a priority, and ended by pid with their bench."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.figure import PROJECT

WIRE_LEVEL, AGENT_LEVEL, SERVER_LEVEL = 40, 35, 30
"""Real-time levels: the wire is the truth, agent and server are the world; all come before what is measured."""
START_SECONDS, END_SECONDS = 60.0, 10.0
POLL_SECONDS = 0.02


class BenchError(Exception):
    """The bench itself could not do its work."""


@dataclass
class Member:
    """One process; what it prints goes to a file, so that nobody has to read it at once."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path
    spent_seconds: float = 0.0
    """User and system time of it and its children, known once it has ended."""

    def said(self) -> str:
        """What it has printed so far."""
        return self.output.read_text(errors="replace")

    def tell(self, line: bytes) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def hush(self) -> None:
        """Close its standard input."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def reap(self, *, block: bool) -> bool:
        """Whether it has ended; keeps what it has spent."""
        if self.process.returncode is not None:
            return True
        pid, status, usage = os.wait4(self.process.pid, 0 if block else os.WNOHANG)
        if pid == 0:
            return False
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.spent_seconds = _spent(usage)
        self.hush()
        return True


@dataclass
class Crew:
    """Everything that was started, ended together."""

    directory: Path
    """Where the output of all of them goes."""
    members: list[Member] = field(default_factory=list)

    def start(
        self, name: str, argv: Sequence[str], *, namespace: str = "", realtime: int = 0, cpu: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Member:
        """Start a process that the kernel kills when the bench dies; prints to `name`.out, errors to `name`.log."""
        head: list[str] = []
        if namespace:
            head += ["nsenter", f"--net=/run/netns/{namespace}", "--"]
        if cpu:
            head += ["taskset", "--cpu-list", cpu]
        if realtime:
            head += ["chrt", "--fifo", str(realtime)]
        head += ["setpriv", "--pdeathsig", "KILL"]
        output = self.directory / f"{name}.out"
        with output.open("wb") as out, (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*head, *argv], cwd=PROJECT, stdin=subprocess.PIPE, stdout=out, stderr=log,
                env={**os.environ, **(environment or {})}, start_new_session=True,
            )
        self.members.append(Member(name, process, output))
        return self.members[-1]

    def module(self, name: str, module: str, *arguments: str, namespace: str = "", realtime: int = 0, cpu: str = "",
               environment: Mapping[str, str] | None = None) -> Member:
        """Start one of the project's own modules."""
        argv = [sys.executable, "-m", module, *arguments]
        return self.start(name, argv, namespace=namespace, realtime=realtime, cpu=cpu, environment=environment)

    def await_word(self, member: Member, word: str) -> None:
        """Wait until a member has printed this; raises BenchError when it ends or stays silent."""
        self.wait(lambda: word in member.said(), START_SECONDS, f"{member.name} is silent", needed=[member])

    def rest_until(self, t_ns: int) -> None:
        """Let time pass up to a monotonic instant; raises BenchError when a member ends meanwhile."""
        seconds = (t_ns - time.monotonic_ns()) / 1e9 + START_SECONDS
        self.wait(lambda: time.monotonic_ns() >= t_ns, seconds, "time stands still", needed=self.members)

    def wait(self, until: Callable[[], bool], seconds: float, trouble: str, *, needed: Sequence[Member] = ()) -> None:
        """Wait for something while the needed members live; raises BenchError with the trouble when it takes longer."""
        deadline = time.monotonic() + seconds
        while not until():
            for member in needed:
                if member.reap(block=False):
                    raise BenchError(f"{member.name} ended with code {member.process.returncode}: {self._last(member)}")
            if time.monotonic() > deadline:
                raise BenchError(trouble)
            time.sleep(POLL_SECONDS)

    def end(self, *members: Member, by: signal.Signals | None = signal.SIGTERM) -> None:
        """Ask these (or all) to end, and kill those that do not; without a signal they end by themselves."""
        ending = list(members) or list(self.members)
        for member in ending:
            member.hush()
            if by is not None and not member.reap(block=False):
                member.process.send_signal(by)
        deadline = time.monotonic() + END_SECONDS
        for member in ending:
            while not member.reap(block=False):
                if time.monotonic() > deadline:
                    member.process.kill()
                    member.reap(block=True)
                time.sleep(POLL_SECONDS)
            self.members.remove(member)

    def _last(self, member: Member) -> str:
        """The last line of a member's errors."""
        lines = (self.directory / f"{member.name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def spent_seconds(pid: int) -> float:
    """The CPU time that a living process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _spent(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime
