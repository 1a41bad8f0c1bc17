"""A guest's storage bench: what the service at port 7010 of a guest can be asked, from where the clients are.

`python -m scenarios.bench ADDRESS PORT SECONDS WORD...` sends the wish and prints each line of the answer after the
monotonic time of its arrival in nanoseconds. It tries for so many seconds to find the service, and ends the wish when
its own standard input ends. Guests of other images, and those not told to be benches, have no such service.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import IO, Any

from drainproof.errors import DrainproofError
from drainproof.wait import Deadline, wait

PORT = 7010
CONNECT_SECONDS = 2.0
START_SECONDS = 10.0
"""How much longer than its own time limit a client process may take to start and to end."""
LOOK_SECONDS = 1.0
"""How often to look whether an answer is still wanted."""
CHUNK = 1 << 16
PROJECT = Path(__file__).resolve().parent.parent
REFUSED = "refused:"


class BenchError(DrainproofError):
    """A guest's storage bench did not do what it was asked, in its own words."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a guest said, and when it arrived on the monotonic clock."""

    arrived_ns: int
    text: str

    @classmethod
    def of(cls, printed: str) -> Line:
        moment, _, text = printed.rstrip("\n").partition(" ")
        return cls(int(moment), text)


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A guest whose data disk is measured."""

    vm: str
    address: str
    client_exec: Sequence[str] = ()
    """Prefix of every command that has to run where the clients are."""
    port: int = PORT

    def ask(self, *wish: str, connect_seconds: float = CONNECT_SECONDS) -> subprocess.Popen[str]:
        """Begin a wish; it ends by itself, or when the process' standard input is closed."""
        command = [
            *self.client_exec, sys.executable, "-m", "scenarios.bench", self.address, str(self.port),
            str(connect_seconds), *wish,
        ]
        return subprocess.Popen(
            command, cwd=PROJECT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def told(
        self, *wish: str, deadline: Deadline, connect_seconds: float = CONNECT_SECONDS,
        given_up: Callable[[], bool] = lambda: False,
    ) -> list[Line]:
        """All that a guest says to a wish that ends by itself, or until the asking is given up.

        Raises BenchError when it refuses, offers no such service, does not end before the deadline, or is given up.
        """
        ends = Deadline(deadline.remaining + START_SECONDS)
        with self.ask(*wish, connect_seconds=connect_seconds) as client:
            # Held back from communicate(), which would close it and so end the wish.
            held, client.stdin = client.stdin, None
            try:
                while (said := _said(client)) is None:
                    if ends.expired or given_up():
                        raise BenchError(f"the bench of {self.vm} did not answer {wish[0]!r} in time")
            finally:
                client.kill()
                if held:
                    held.close()
        return list(parsed(self.vm, said, client.returncode))

    def hello(
        self, deadline: Deadline, given_up: Callable[[], bool] = lambda: False
    ) -> tuple[Line, dict[str, Any]]:
        """What the guest says of itself, as soon as it answers: boot_id, free_bytes, writable, mounted.

        Raises BenchError when it does not answer in time, or the asking is given up.
        """
        seconds = max(deadline.remaining, CONNECT_SECONDS)
        line = self.told("hello", deadline=deadline, connect_seconds=seconds, given_up=given_up)[-1]
        return line, as_object(self.vm, line.text)


def _said(client: subprocess.Popen[str]) -> str | None:
    """All that a client has printed, once it has ended; None if it has not within a moment."""
    try:
        return client.communicate(timeout=LOOK_SECONDS)[0]
    except subprocess.TimeoutExpired:
        return None


def parsed(vm: str, said: str, code: int) -> Iterator[Line]:
    """The lines of an answer; raises BenchError when it is a refusal or a failure to ask."""
    lines = said.splitlines()
    if code or not lines:
        raise BenchError(f"the bench of {vm}: {(lines or ['it said nothing'])[-1][-300:]}")
    for printed in lines:
        line = Line.of(printed)
        if line.text.startswith(REFUSED):
            raise BenchError(f"the bench of {vm} {line.text[:300]}")
        yield line


def as_object(vm: str, text: str) -> dict[str, Any]:
    """A line of JSON; raises BenchError when it is none."""
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            return content
    except ValueError:
        pass
    raise BenchError(f"the bench of {vm} answered with {text[:100]!r}, which is no JSON object")


def main(arguments: Sequence[str]) -> int:
    """Ask and print until the guest has said all; 0, or 2 when there is no service or it broke off."""
    address, port, seconds, *wish = arguments
    try:
        with _connected(address, int(port), float(seconds)) as connection:
            connection.sendall(f"{' '.join(wish)}\n".encode())
            _print_until_end(connection, sys.stdin)
    except (OSError, DrainproofError) as error:
        print(f"{time.monotonic_ns()} no bench answers at {address} port {port}: {error}", flush=True)
        return 2
    return 0


def _connected(address: str, port: int, seconds: float) -> socket.socket:
    """A connection, tried for so long: a guest that boots refuses first."""

    def attempt() -> socket.socket | OSError:
        try:
            return socket.create_connection((address, port), CONNECT_SECONDS)
        except OSError as error:
            return error

    found = wait(
        "the guest offers its bench", attempt, until=lambda seen: isinstance(seen, socket.socket),
        deadline=Deadline(seconds), every=0.2,
    )
    assert isinstance(found, socket.socket)
    # Whoever died without a word is found out: the kernel asks.
    found.settimeout(None)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 30)):
        found.setsockopt(socket.IPPROTO_TCP, option, value)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return found


def _print_until_end(connection: socket.socket, ending: IO[str]) -> None:
    """Print what arrives, each line with its time, until the guest has closed; an end of `ending` ends the wish."""
    watched: list[Any] = [connection, ending]
    rest = b""
    while True:
        ready = select(watched, (), ())[0]
        if ending in ready and not ending.readline():
            watched.remove(ending)
            connection.shutdown(socket.SHUT_WR)
        if connection not in ready:
            continue
        got = connection.recv(CHUNK)
        arrived = time.monotonic_ns()
        *lines, rest = (rest + got).split(b"\n")
        if not got and rest:
            lines = [rest]
        sys.stdout.write("".join(f"{arrived} {line.decode(errors='replace')}\n" for line in lines))
        sys.stdout.flush()
        if not got:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
