"""One certification as a process of its own: signals to the campaign reach it once, and the campaign waits for it."""

from __future__ import annotations

import fcntl
import math
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

import psutil

from drainproof.wait import Deadline, wait

PROJECT: Final = Path(__file__).resolve().parents[2]
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HELD: Final = "certification.lock"
"""In the campaign's directory: locked by the certification alone, from before it begins until it has ended."""

Say = Callable[[str], None]


@dataclass
class Stopping:
    """Whether somebody has stopped the campaign, and which process has to be told."""

    say: Say
    stopped: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        """Pass the first signal on; more of them must not break off what the first began."""
        if not self.stopped:
            self.stopped = True
            self._pass_on()

    def follow(self, process: subprocess.Popen[bytes]) -> None:
        """From now on a signal goes to this process, one that came already as well."""
        self.process = process
        if self.stopped:
            self._pass_on()

    def _pass_on(self) -> None:
        if self.process is not None:
            # The certification takes SIGTERM as Ctrl-C, and hands it on itself. It is told before anybody else is:
            # the terminal may be what has gone.
            self.process.send_signal(signal.SIGTERM)
            self.say(f"stopping: waiting until process {self.process.pid} has undone what it did")


def unheard(say: Say) -> Say:
    """The same, where nobody needs to listen: a terminal that has gone, or a pipe, must not end the campaign."""

    def told(sentence: str) -> None:
        # RuntimeError: a signal's handler speaks while the line before is being written.
        with suppress(OSError, ValueError, RuntimeError):
            say(sentence)

    return told


@contextmanager
def stoppable(say: Say) -> Iterator[Stopping]:
    """Within, SIGINT, SIGTERM and SIGHUP do not end this process; one that is ignored stays ignored."""
    stopping = Stopping(say)
    before = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, stopping.stop)
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(command: Sequence[str], log: Path, directory: Path) -> subprocess.Popen[bytes]:
    """Start a certification in a session of its own, what it prints goes to the log: a terminal's Ctrl-C is ours.

    It alone keeps the lock of the campaign's directory: it passes that on to none of its own processes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, (directory / HELD).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            pass_fds=(held.fileno(),), env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
        )


def goes_on(directory: Path) -> bool:
    """Whether a certification of the campaign runs, whoever started it and whether or not its pid was written down."""
    with (directory / HELD).open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def outlive(directory: Path, stopping: Stopping) -> None:
    """Wait until the certification has ended that another campaign process began; a stop is passed on to it once."""
    passed_on = False

    def look() -> bool:
        nonlocal passed_on
        if stopping.stopped and not passed_on:
            passed_on = True
            for process in holders(directory):
                with suppress(psutil.Error):
                    process.terminate()
        return goes_on(directory)

    wait("the certification of before has ended", look, until=lambda runs: not runs, deadline=Deadline(math.inf))


def holders(directory: Path) -> list[psutil.Process]:
    """The processes that keep the lock of a certification."""
    wanted, found = str((directory / HELD).resolve()), []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and any(one.path == wanted for one in process.open_files()):
                found.append(process)
    return found
