"""One certification as a process of its own: signals to the campaign reach it once, and the campaign waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Stopping:
    """Whether somebody has stopped the campaign, and which process has to be told."""

    say: Callable[[str], None]
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
            self.say(f"stopping: waiting until process {self.process.pid} has undone what it did")
            # The certification takes SIGTERM as Ctrl-C, and hands it on itself.
            self.process.send_signal(signal.SIGTERM)


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[Stopping]:
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


def start(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a certification in a session of its own, what it prints goes to the log: a terminal's Ctrl-C is ours."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
        )
