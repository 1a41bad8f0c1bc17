"""The server behind a storage class stands still for a while, or is killed and comes back, under running guests.

The commands are the target's. A pause never outlives its run: a watchdog in a process of its own resumes the server as
soon as the harness is gone, or the time that the pause may take at most is over.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from select import select

from drainproof.errors import DrainproofError
from drainproof.journal import Journal
from drainproof.journal.reopening import reopened
from drainproof.target import StorageServerFacts
from drainproof.wait import Deadline, pause, wait
from scenarios.fault import Proof

TIMEOUT_SECONDS = 120.0
SHOWN_CHARACTERS = 300
PROJECT = Path(__file__).resolve().parent.parent
DONE = "done"
RUNNING, PAUSED, DOWN = "running", "paused", "down"


class StorageServerError(DrainproofError):
    """A command for a storage server did not do what it is for; names the program, never its arguments."""


@dataclass(frozen=True, kw_only=True)
class StorageServer:
    """The server of one storage class, and the commands that disturb it."""

    storage_class: str
    facts: StorageServerFacts = field(repr=False)

    def run(self, template: Sequence[str]) -> str:
        """Run a command and return what it printed; raises StorageServerError when it fails."""
        argv = filled(template, self.storage_class)
        try:
            done = subprocess.run(
                argv, cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=TIMEOUT_SECONDS, check=False,
            )
        except subprocess.TimeoutExpired:
            raise self._error(f"{argv[0]} did not end within {TIMEOUT_SECONDS:.0f} s") from None
        except OSError as error:
            raise self._error(f"{argv[0]} cannot be run: {error.strerror}") from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip())[-SHOWN_CHARACTERS:]
            raise self._error(f"{argv[0]} ended with exit code {done.returncode}: {said or 'it said nothing'}")
        return done.stdout

    def status(self) -> tuple[str, str]:
        """How it stands (running, paused, or neither: down), and which generation that is, empty if nothing tells.

        Raises StorageServerError when it is told to be both, or does not tell.
        """
        said = self.run(self.facts.status)
        is_running, is_paused = (
            re.search(pattern, said) is not None for pattern in (self.facts.running_pattern, self.facts.paused_pattern)
        )
        if is_running and is_paused:
            raise self._error(f"its state cannot be read from {said.strip()[:SHOWN_CHARACTERS]!r}")
        found = re.search(self.facts.generation_pattern, said) if self.facts.generation_pattern else None
        state = PAUSED if is_paused else RUNNING if is_running else DOWN
        return state, (found.group() if found else "")

    def see(self, wanted: str, deadline: Deadline) -> str:
        """Wait until it is running, or paused; returns its generation."""
        seen = wait(
            f"the server of storage class {self.storage_class} is {wanted}", self.status,
            until=lambda state: state[0] == wanted, deadline=deadline, every=0.5,
        )
        return seen[1]

    def serving(self, deadline: Deadline) -> str:
        """Wait until it runs; its generation, empty only if nothing is to tell it.

        Raises StorageServerError when what is to tell it is not found.
        """
        generation = self.see(RUNNING, deadline)
        if self.facts.generation_pattern and not generation:
            raise self._error("its status prints no generation: generation_pattern finds nothing in it")
        return generation

    def _error(self, what: str) -> StorageServerError:
        return StorageServerError(f"the server of storage class {self.storage_class}: {what}")


@dataclass(frozen=True, kw_only=True)
class PauseStorage:
    """The server answers nobody for that long, and forgets nothing."""

    server: StorageServer
    seconds: float
    longest_seconds: float
    """After so long it goes on, whatever becomes of the run."""
    journal: Journal
    _watchdog: list[subprocess.Popen[str]] = field(default_factory=list, init=False, repr=False)
    _since: list[int] = field(default_factory=list, init=False, repr=False)
    kind = "storage-pause"

    @property
    def target(self) -> str:
        return self.server.storage_class

    def inject(self, deadline: Deadline) -> Proof:
        """Pause it and see it paused; raises DrainproofError when it was not running, or runs on."""
        before = self.server.see(RUNNING, deadline.at_most(TIMEOUT_SECONDS))
        self.journal.storage_pause(self.target)
        self._watchdog.append(self._watched())
        self._since.append(time.monotonic_ns())
        self.server.run(self.server.facts.pause)
        self.server.see(PAUSED, deadline)
        return {"generation": before, "status": PAUSED, "begun_ns": self._since[0]}

    def heal(self, deadline: Deadline) -> Proof:
        """Let it stand still for the rest of its time, then see it go on; resumed even if it was not seen to pause.

        One that was never told to pause is left as it is: whoever else paused it has a reason.
        """
        if not self._watchdog:
            return {"status": "left as it was"}
        lasted = True
        if self._since:
            over = (time.monotonic_ns() - self._since[0]) / 1e9
            pause(max(0.0, self.seconds - over), deadline)
            lasted = self._is_paused()
        ordered = time.monotonic_ns()
        self.server.run(self.server.facts.resume)
        generation = self.server.see(RUNNING, deadline)
        for watchdog in self._watchdog:
            watchdog.communicate(f"{DONE}\n", timeout=TIMEOUT_SECONDS)
        self.journal.storage_resumed(self.target)
        paused = (ordered - self._since[0]) / 1e9 if self._since else 0.0
        return {
            "generation": generation, "status": RUNNING, "ordered_ns": ordered, "paused_s": paused, "lasted": lasted,
        }

    def _is_paused(self) -> bool:
        try:
            return self.server.status()[0] == PAUSED
        except StorageServerError:
            return False  # nobody can tell; it is resumed all the same

    def _watched(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "scenarios.storage_server", str(self.journal.path), self.target]
        watchdog = subprocess.Popen(
            [*command, str(self.longest_seconds)], cwd=PROJECT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        assert watchdog.stdin is not None
        # Through a pipe: the list of processes is everybody's to read.
        watchdog.stdin.write(json.dumps(filled(self.server.facts.resume, self.target)) + "\n")
        watchdog.stdin.flush()
        return watchdog


@dataclass(frozen=True, kw_only=True)
class FailOver:
    """The server is killed, and the same or another serves in its place."""

    server: StorageServer
    _before: list[str] = field(default_factory=list, init=False, repr=False)
    kind = "storage-failover"

    @property
    def target(self) -> str:
        return self.server.storage_class

    def inject(self, deadline: Deadline) -> Proof:
        """Fail it over; raises StorageServerError when what serves afterwards is what served before."""
        self._before.append(self.server.serving(deadline.at_most(TIMEOUT_SECONDS)))
        begun = time.monotonic_ns()
        self.server.run(self.server.facts.failover)
        return {"generation": self._before[0], "begun_ns": begun}

    def heal(self, deadline: Deadline) -> Proof:
        """See it serve; where its generations can be told apart, as another one."""
        generation = self.server.serving(deadline)
        if self._before and self._before[0] and generation == self._before[0]:
            raise StorageServerError(f"the server of storage class {self.target} is the one that it was: {generation}")
        return {"generation": generation, "status": RUNNING}


def filled(template: Sequence[str], storage_class: str) -> list[str]:
    return [word.replace("{class}", storage_class) for word in template]


def main(arguments: Sequence[str]) -> int:
    """The watchdog: resume the server unless somebody says in time that it has been.

    The command comes as a line of JSON, then "done"; an end without that means that the harness is gone.
    """
    journal, storage_class, seconds = arguments
    argv = json.loads(sys.stdin.readline())
    ready = select((sys.stdin,), (), (), float(seconds))[0]
    if ready and sys.stdin.readline().strip() == DONE:
        return 0
    done = subprocess.run(argv, cwd=PROJECT, stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode == 0:
        reopened(Path(journal)).storage_resumed(storage_class)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
