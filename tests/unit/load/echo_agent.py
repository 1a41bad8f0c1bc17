"""What answers the stopwatch in tests, as a process of its own that a test can stop and continue.

`python echo_agent.py` prints its port, for datagrams and connections alike, and serves until its input closes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HEADER = struct.Struct("<4sIQ")


class Agent:
    """Both sockets, the connections, and who wants ticks how often: answers whatever it is asked, at once."""

    def __init__(self) -> None:
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.datagrams.bind(("127.0.0.1", self.port))
        self.connections: list[socket.socket] = []
        self.subscriptions: dict[tuple[str, int], tuple[int, int, int]] = {}

    def serve(self) -> None:
        while True:
            ready, _, _ = select.select([sys.stdin, self.datagrams, self.listener, *self.connections], [], [], 0.001)
            if sys.stdin in ready:
                return
            if self.datagrams in ready:
                self.answer()
            if self.listener in ready:
                self.connections.append(self.listener.accept()[0])
            for connection in [known for known in self.connections if known in ready]:
                self.echo(connection)
            self.beat(time.monotonic_ns())

    def answer(self) -> None:
        request, sender = self.datagrams.recvfrom(64)
        magic, period_us, token = _HEADER.unpack(request)
        if magic == b"DPE1":
            self.datagrams.sendto(request + time.monotonic_ns().to_bytes(8, "little"), sender)
        else:
            self.subscriptions[sender] = (period_us * 1000, token, time.monotonic_ns())

    def echo(self, connection: socket.socket) -> None:
        try:
            if said := connection.recv(4096):
                connection.sendall(said)
                return
        except OSError:
            pass  # reset by the peer: the same as closed
        connection.close()
        self.connections.remove(connection)

    def beat(self, now: int) -> None:
        for sender, (period, token, due) in self.subscriptions.items():
            if now >= due:
                self.datagrams.sendto(
                    struct.pack("<4sIQqqQ", b"DPT1", 0, now // period, now, time.time_ns(), token), sender
                )
                self.subscriptions[sender] = (period, token, (now // period + 1) * period)


class Guest:
    """The agent's process, as a test sees it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> int:
        """Stop answering; returns since when."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        return time.monotonic_ns()

    def resume(self) -> int:
        """Answer again, what came meanwhile too; returns when that was asked for."""
        now = time.monotonic_ns()
        self.process.send_signal(signal.SIGCONT)
        return now

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def guest() -> Iterator[Guest]:
    running = Guest()
    try:
        yield running
    finally:
        running.end()


if __name__ == "__main__":
    agent = Agent()
    print(agent.port, flush=True)
    agent.serve()
