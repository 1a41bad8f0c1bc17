"""The control responder: what it tells of its blackouts is what its clients see."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from load.control import Blackouts, Responder

MS = 1_000_000
SECOND = 1_000_000_000


class Running:
    """A responder in a thread, a client of it, and what it has told."""

    def __init__(self, blackouts: Blackouts) -> None:
        self.told: list[dict[str, Any]] = []
        self.responder = Responder(blackouts, lambda kind, **facts: self.told.append(facts))
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.responder.run, args=(self.stop.is_set,), daemon=True)
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(5)
        self.client.connect(("127.0.0.1", self.responder.port))
        self.thread.start()

    def ask(self, number: int) -> None:
        self.client.send(number.to_bytes(16, "little"))

    def answer(self) -> tuple[int, int]:
        said = self.client.recv(64)
        return int.from_bytes(said[:16], "little"), time.monotonic_ns()

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, "the condition did not come about in 5 s"
            self.stop.wait(0.002)

    def close(self) -> None:
        self.stop.set()
        self.thread.join()
        self.client.close()


@pytest.fixture
def running() -> Iterator[Callable[[Blackouts], Running]]:
    made: list[Running] = []

    def make(blackouts: Blackouts) -> Running:
        made.append(Running(blackouts))
        return made[-1]

    yield make
    for one in made:
        one.close()


def soon(mode: str) -> Blackouts:
    """A blackout of 100 ms that begins within 120 ms, and no further one for long."""
    blackouts = Blackouts(time.monotonic_ns(), 3600 * SECOND, 100 * MS, "seed")
    blackouts.number += mode == "hold"
    blackouts.begin_ns = time.monotonic_ns() + 80 * MS
    blackouts.end_ns = blackouts.begin_ns + 100 * MS
    return blackouts


def test_outside_of_blackouts_every_request_is_answered(running: Callable[[Blackouts], Running]) -> None:
    one = running(Blackouts(time.monotonic_ns(), 3600 * SECOND, 20 * MS, "seed"))
    for number in range(50):
        one.ask(number)
    assert [one.answer()[0] for _ in range(50)] == list(range(50))
    assert one.told == []


def test_what_is_asked_in_a_drop_is_never_answered(running: Callable[[Blackouts], Running]) -> None:
    blackouts = soon("drop")
    begin, end = blackouts.begin_ns, blackouts.end_ns
    one = running(blackouts)
    one.wait(lambda: time.monotonic_ns() > begin)
    one.ask(1)
    one.wait(lambda: one.told != [])
    one.ask(2)
    assert one.answer()[0] == 2
    assert (one.told[0]["mode"], one.told[0]["start_ns"], one.told[0]["end_ns"]) == ("drop", begin, end)
    assert one.told[0]["requests"] == 1


def test_what_is_asked_in_a_hold_is_answered_when_it_ends(running: Callable[[Blackouts], Running]) -> None:
    blackouts = soon("hold")
    begin, end = blackouts.begin_ns, blackouts.end_ns
    one = running(blackouts)
    one.wait(lambda: time.monotonic_ns() > begin)
    one.ask(1)
    one.ask(2)
    (first, at), (second, _) = one.answer(), one.answer()
    assert (first, second) == (1, 2)
    one.wait(lambda: one.told != [])
    assert end <= one.told[0]["end_ns"] <= at
    assert (one.told[0]["mode"], one.told[0]["start_ns"]) == ("hold", begin)


def test_a_blackout_that_is_cut_short_says_when(running: Callable[[Blackouts], Running]) -> None:
    blackouts = soon("hold")
    begin = blackouts.begin_ns
    blackouts.end_ns = begin + 3600 * SECOND
    one = running(blackouts)
    one.wait(lambda: time.monotonic_ns() > begin)
    one.ask(1)
    one.wait(lambda: one.responder._held != [])
    one.stop.set()
    assert one.answer()[0] == 1
    one.thread.join()
    assert begin < one.told[0]["end_ns"] < begin + 3600 * SECOND


def test_blackouts_alternate_apart_and_only_their_seed_knows_when() -> None:
    series = {seed: Blackouts(0, SECOND, 20 * MS, seed) for seed in ("a", "b")}
    seen: dict[str, list[tuple[int, str]]] = {"a": [], "b": []}
    for seed, blackouts in series.items():
        for _ in range(20):
            seen[seed].append((blackouts.begin_ns, blackouts.mode))
            assert blackouts.end_ns - blackouts.begin_ns == 20 * MS
            blackouts.advance()
    assert seen["a"] != seen["b"]
    for found in seen.values():
        begins = [begin for begin, _ in found]
        assert all(SECOND // 2 <= after - before <= 3 * SECOND // 2 for before, after in pairwise(begins))
        assert [mode for _, mode in found[:4]] == ["drop", "hold", "drop", "hold"]


def test_as_a_process_it_says_its_port_first_and_ends_when_told() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "load.control", "--every-ms", "60000", "--blackout-ms", "20", "--priority", "plain"],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        said = json.loads(process.stdout.readline())
        assert (said["kind"], said["data"]["pid"]) == ("responder", process.pid)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5)
            client.connect(("127.0.0.1", said["data"]["port"]))
            client.send(bytes(16))
            assert len(client.recv(64)) == 24
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(5) == 0
