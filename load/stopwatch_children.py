"""The stopwatch's child processes: started with their shared memory, listened to, and ended by their ids."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from drainproof.errors import DrainproofError

PROJECT = Path(__file__).resolve().parent.parent
END_SECONDS = 3.0
"""How long a child may take to end beyond what it was given."""

Message = dict[str, Any]


class StopwatchError(DrainproofError):
    """A part of the stopwatch did not start, or died while it was needed."""


class Child:
    """One child process and the lines it has not finished yet."""

    def __init__(self, name: str, command: Sequence[str], fds: Sequence[int] = ()) -> None:
        self.name = name
        self.process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=fds
        )
        assert self.process.stdout is not None
        self.fd = self.process.stdout.fileno()
        os.set_blocking(self.fd, False)
        self._rest = b""

    def read(self) -> list[Message] | None:
        """What it has said since, or None when it will say nothing more."""
        try:
            said = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return []
        if not said:
            return None
        *lines, self._rest = (self._rest + said).split(b"\n")
        return [json.loads(line) for line in lines]


class Children:
    """All children; what they say goes to `hear`, in the order in which each says it."""

    def __init__(self, hear: Callable[[Child, Message], None]) -> None:
        self._hear = hear
        self._selector = selectors.DefaultSelector()
        self._living: list[Child] = []

    def start(self, name: str, command: Sequence[str], fds: Sequence[int] = ()) -> Child:
        """Start a child that inherits the descriptors; raises StopwatchError when its command cannot be run."""
        try:
            child = Child(name, command, fds)
        except OSError as error:
            raise StopwatchError(f"the {name} cannot be started: {command[0]}: {error.strerror}") from error
        self._living.append(child)
        self._selector.register(child.fd, selectors.EVENT_READ, child)
        return child

    def listen(self, seconds: float) -> None:
        """Hear what is said, waiting at most that long for the first; raises StopwatchError when a child died."""
        for child in self._ready(seconds):
            if not self._heard(child):
                self._bury(child)
                raise StopwatchError(f"the {child.name} ended with code {child.process.returncode}")

    def end(self, children: Iterable[Child], seconds: float) -> None:
        """Have children end, hear their last words, and kill those that take longer."""
        ending = [child for child in children if child in self._living]
        for child in ending:
            child.process.send_signal(signal.SIGTERM)
            child.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + seconds + END_SECONDS
        while any(child in self._living for child in ending):
            if time.monotonic() > deadline:
                for child in ending:
                    child.process.kill()
            for child in self._ready(0.1):
                if not self._heard(child):
                    self._bury(child)

    def end_all(self, seconds: float) -> None:
        """Have whoever is left end."""
        self.end(list(self._living), seconds)

    def _ready(self, seconds: float) -> list[Child]:
        return [key.data for key, _ in self._selector.select(max(0.0, seconds))]

    def _heard(self, child: Child) -> bool:
        messages = child.read()
        for message in messages or ():
            self._hear(child, message)
        return messages is not None

    def _bury(self, child: Child) -> None:
        self._selector.unregister(child.fd)
        self._living.remove(child)
        assert child.process.stdout is not None
        child.process.stdout.close()
        try:
            child.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
