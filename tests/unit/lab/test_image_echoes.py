"""The guest's echo requests: the program, which speaks to its client over standard input and output."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest

from lab.image.recipe import GUEST

PROGRAM = GUEST / "root/usr/lib/drainproof/echoes"
AGENT = GUEST / "root/usr/lib/drainproof/agent"


def ask(wish: str, port: int) -> str:
    """What the program says to one request."""
    argv = [sys.executable, "-IS", str(PROGRAM), str(port)]
    return subprocess.run(argv, input=f"{wish}\n", capture_output=True, text=True, check=True).stdout


def figures(wish: str, port: int) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ask(wish, port))
    return told


@contextmanager
def lossy_peer(every: int, late: float = 0.0) -> Iterator[int]:
    """Answers as the agent does, but loses one of so many requests and answers twice; the rest comes late."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        ended = threading.Event()

        def serve() -> None:
            number = 0
            while True:
                request, sender = peer.recvfrom(100)
                if ended.wait(late):
                    return
                number += 1
                for _ in range(2 * bool(number % every)):
                    peer.sendto(request + bytes(8), sender)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(peer.getsockname()[1])
        finally:
            ended.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", peer.getsockname())
            thread.join()


def test_the_agent_answers_all() -> None:
    """The two programs of the image understand each other; nothing is waited for once all is answered."""
    argv = [sys.executable, "-IS", str(AGENT), "127.0.0.1", "0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        port = int(agent.stdout.readline().rpartition(":")[2])
        told = figures("127.0.0.1 20 1", port)
        agent.kill()
    assert (told["sent"], told["answered"]) == (20, 20)
    assert 0 < told["shortest_ms"] <= told["median_ms"]


def test_lost_requests_are_counted_once() -> None:
    """A duplicate is no second answer."""
    with lossy_peer(every=4) as port:
        told = figures("127.0.0.1 20 1", port)
    assert (told["sent"], told["answered"]) == (20, 15)


def test_late_answers_are_not_lost() -> None:
    """The round trip tells; answers queue behind each other here."""
    with lossy_peer(every=1000, late=0.05) as port:
        told = figures("127.0.0.1 10 1", port)
    assert told["answered"] == 10
    assert told["shortest_ms"] >= 50
    assert told["median_ms"] > 200


def test_what_came_during_a_stall_is_not_lost() -> None:
    """A guest may stand still for longer than it waits for late answers; the rest is then sent at the same pace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(10)
        peer.bind(("127.0.0.1", 0))
        argv = [sys.executable, "-IS", str(PROGRAM), str(peer.getsockname()[1])]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            assert program.stdin is not None
            program.stdin.write("127.0.0.1 10 40\n")
            program.stdin.flush()
            received = [peer.recvfrom(100)]
            _stall(program, 0.4)
            arrivals = []
            for _ in range(9):
                received.append(peer.recvfrom(100))
                arrivals.append(time.monotonic())
            program.send_signal(signal.SIGSTOP)
            for request, sender in received:
                peer.sendto(request + bytes(8), sender)
            _stall(program, 3.2)
            told = json.loads(program.communicate()[0])
    assert told["answered"] == 10
    assert sorted(later - earlier for earlier, later in pairwise(arrivals))[1] > 0.02


def _stall(program: subprocess.Popen[str], seconds: float) -> None:
    program.send_signal(signal.SIGSTOP)
    threading.Event().wait(seconds)
    program.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("address", ["127.0.0.1", "240.0.0.1"])
def test_silence_has_no_round_trip(address: str) -> None:
    """Whether nobody is there, or no way leads there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        told = figures(f"{address} 3 1", silent.getsockname()[1])
    assert told == {"sent": 3, "answered": 0, "shortest_ms": None, "median_ms": None}


@pytest.mark.parametrize("wish", ["", "127.0.0.1", "guest 1 1", "127.0.0.1 0 1", "127.0.0.1 1 0", "127.0.0.1 1 nan",
                                  "127.0.0.1 6001 20", "127.0.0.1 one 20"])
def test_what_it_cannot_do_it_refuses(wish: str) -> None:
    """No request without an end; the reason is told."""
    assert ask(wish, 1).startswith("refused: ")


def test_the_service_starts_the_program_for_each_client() -> None:
    """The port is the one that the harness asks, and the program is the one above."""
    run = (GUEST / "root/etc/sv/echoes/run").read_text()
    assert f"-p 7009 -e /{PROGRAM.relative_to(GUEST / 'root')}" in run
