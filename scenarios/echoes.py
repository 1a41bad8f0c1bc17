"""Echoes between guests: what one guest sends to another, whether it is answered, and how long that takes.

`python -m scenarios.echoes PORT COUNT ADDRESS PEER...` asks the guest at each ADDRESS, all at the same time, to send
that many echo requests to its PEER; it prints what each says. Guests of other images have no such service.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from drainproof.errors import DrainproofError
from drainproof.wait import Deadline

PORT = 7009
INTERVAL_MS = 20
CONNECT_SECONDS = 5.0
LATE_SECONDS = 30.0
"""By how much a guest may take longer than its requests do: it waits for late answers, and may be busy."""
PROJECT = Path(__file__).resolve().parent.parent


class EchoesError(DrainproofError):
    """A guest did not tell of echoes, such as one that has no service for it."""


@dataclass(frozen=True)
class Echoes:
    """What became of the echo requests of one guest to another."""

    sent: int
    answered: int
    shortest_ms: float | None
    """The shortest round trip; None without any answer."""
    median_ms: float | None

    @property
    def lost(self) -> float:
        """The share without an answer."""
        return 1 - self.answered / self.sent


@dataclass(frozen=True, kw_only=True)
class Guests:
    """How to have guests send echo requests to each other."""

    addresses: Mapping[str, str]
    """Each machine's address by its name."""
    client_exec: Sequence[str] = ()
    """Prefix of every command that has to run where the clients are."""
    port: int = PORT

    def measure(self, pairs: Sequence[tuple[str, str]], count: int, deadline: Deadline) -> list[Echoes]:
        """What becomes of that many requests from the first to the second of each pair, all pairs at the same time.

        Raises EchoesError when a guest does not say so before the deadline.
        """
        ways = [self.addresses[name] for pair in pairs for name in pair]
        command = [*self.client_exec, sys.executable, "-m", "scenarios.echoes", str(self.port), str(count), *ways]
        try:
            done = subprocess.run(
                command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=max(deadline.remaining, 1)
            )
        except subprocess.TimeoutExpired:
            raise EchoesError(f"the guests at {', '.join(ways[::2])} did not tell of echoes in time") from None
        if done.returncode:
            raise EchoesError((done.stdout + done.stderr).strip()[-500:] or f"ended with {done.returncode}")
        return [Echoes(**json.loads(line)) for line in done.stdout.splitlines()]


def main(arguments: Sequence[str]) -> int:
    """Ask all, and print what each says; 0, or the number of the kind of trouble: 1 refused, 2 no service."""
    port, count, *ways = arguments
    address = ""
    try:
        with ExitStack() as stack:
            connections = []
            for address, peer in zip(ways[::2], ways[1::2], strict=True):
                connection = stack.enter_context(socket.create_connection((address, int(port)), CONNECT_SECONDS))
                connection.settimeout(int(count) * INTERVAL_MS / 1000 + LATE_SECONDS)
                connection.sendall(f"{peer} {count} {INTERVAL_MS}\n".encode())
                connections.append((address, connection))
            for address, connection in connections:
                said = connection.makefile().readline()
                if not said.startswith("{"):
                    print(f"the guest at {address} sends no echo requests: {said.strip() or 'it said nothing'}")
                    return 1
                print(said, end="")
    except OSError as error:
        print(f"the guest at {address} offers no service for echo requests at port {port}: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
