"""Memory churn: a guest rewrites its memory for a bounded time, as busy workloads do, so that migrations must follow.

`python -m scenarios.churn ADDRESS MIB MIB_PER_SECOND SECONDS` asks the guest's own service for it, from where the
clients are, and prints what the guest says each second. Guests of other images have no such service.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from drainproof.errors import DrainproofError
from drainproof.wait import Deadline, wait
from scenarios.fault import Proof

PORT = 7008
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""How long a guest may say nothing: a migration, or post-copy, may hold it for a while."""
PROJECT = Path(__file__).resolve().parent.parent


class ChurnError(DrainproofError):
    """The guest did not rewrite its memory, in its own words."""


@dataclass(frozen=True, kw_only=True)
class Churn:
    """Memory churn in one guest; it ends by itself after `seconds`, or with its client, whatever becomes of the run."""

    vm: str
    address: str
    mib: int
    """How much memory is rewritten, round and round; a guest grants half of what it has available."""
    mib_per_second: float
    seconds: float
    client_exec: Sequence[str] = ()
    """Prefix of every command that has to run where the clients are."""
    _client: list[subprocess.Popen[bytes]] = field(default_factory=list, init=False, repr=False)
    _output: list[IO[bytes]] = field(default_factory=list, init=False, repr=False)

    @property
    def kind(self) -> str:
        return "memory-churn"

    @property
    def target(self) -> str:
        return self.vm

    def inject(self, deadline: Deadline) -> Proof:
        """Start it; raises ChurnError when the guest refuses, or offers no such service."""
        self._output.append(NamedTemporaryFile())  # noqa: SIM115 - closed when it heals
        wish = [self.address, str(self.mib), str(self.mib_per_second), str(self.seconds)]
        command = [*self.client_exec, sys.executable, "-m", "scenarios.churn", *wish]
        client = subprocess.Popen(command, cwd=PROJECT, stdout=self._output[0], stderr=subprocess.STDOUT)
        self._client.append(client)
        said = wait(
            f"the guest of {self.vm} rewrites its memory", self._said,
            until=lambda lines: bool(lines) and lines[0].startswith("dirtied"),
            never=lambda lines: client.poll() is not None and not any(line.startswith("dirtied") for line in lines),
            deadline=deadline,
        )
        return {"guest": said[0], "mib": self.mib, "mib_per_second": self.mib_per_second, "seconds": self.seconds}

    def heal(self, deadline: Deadline) -> Proof:
        """End it if it still goes on, and tell how far the guest came."""
        for client in self._client:
            client.terminate()
            client.wait(max(deadline.remaining, 1))
        said = self._said()
        for output in self._output:
            output.close()
        if not said:
            raise ChurnError(f"the guest of {self.vm} never said that it rewrote its memory")
        return {"guest": said[-1]}

    def _said(self) -> list[str]:
        if not self._output:
            return []
        # Opened anew: the client writes at the position of the file that it was given.
        return Path(self._output[0].name).read_text(errors="replace").splitlines()


def missing(address: str, client_exec: Sequence[str] = ()) -> str:
    """Why the guest at an address cannot churn, such as that it is of another image; empty when it can."""
    command = [*client_exec, sys.executable, "-m", "scenarios.churn", address, "1", "1", "0.1"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    return f"the guest at {address} offers no memory churn: {(done.stdout + done.stderr).strip().splitlines()[-1]}"


def main(arguments: Sequence[str]) -> int:
    """Ask, and print what is answered until the end."""
    address, *wish = arguments
    try:
        with socket.create_connection((address, PORT), CONNECT_SECONDS) as connection:
            connection.settimeout(SILENCE_SECONDS)
            connection.sendall(f"{' '.join(wish)}\n".encode())
            last = ""
            for last in connection.makefile():
                print(last, end="", flush=True)
    except OSError as error:
        print(f"no service for it at port {PORT}: {error}", flush=True)
        return 2
    return 0 if last.startswith("dirtied") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
