"""The control responder: echoes the stopwatch's control stream on this very machine, but for blackouts it tells of.

What this stream misses outside of them, the client itself has missed; a stopwatch that does not find them is broken.
`python -m load.control --every-ms N --blackout-ms N --seed TEXT [--priority LEVEL]`; it says its port when it is ready.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from drainproof.errors import CannotRunError
from load.planes.datagrams import enlarge_receive_buffer
from load.priority import end_with_parent, pin, take_level, tighten_timers
from load.schedule import SECOND
from load.telling import Teller

LOCALHOST = "127.0.0.1"
REQUEST_BYTES = 16
REQUESTS_AT_ONCE = 32
LONGEST_WAIT_NS = SECOND // 20
WATCH_NS = 1_000_000
"""How often the responder wakes around a blackout, to know its own lateness."""
JITTER = 0.25
"""Share of the time between two blackouts by which each may come earlier or later."""


class Blackouts:
    """When the control path is dark, alternately dropping and holding, at moments that only the seed knows."""

    def __init__(self, begin_ns: int, every_ns: int, length_ns: int, seed: str) -> None:
        self._chance = random.Random(seed)
        self._slot_ns = begin_ns
        self._every_ns = every_ns
        self._length_ns = length_ns
        self.number = 0
        self.begin_ns = self.end_ns = 0
        self.advance()

    @property
    def mode(self) -> str:
        """What happens to requests in the coming or present blackout."""
        return "hold" if self.number % 2 == 0 else "drop"

    def advance(self) -> None:
        """Go on to the next blackout."""
        self.number += 1
        self._slot_ns += self._every_ns
        spread = round(self._every_ns * JITTER)
        self.begin_ns = self._slot_ns + self._chance.randrange(-spread, spread + 1)
        self.end_ns = self.begin_ns + self._length_ns


class Responder:
    """Echoes requests, but for those read while the path is dark: these are dropped, or answered when that ends."""

    def __init__(
        self, blackouts: Blackouts, tell: Callable[..., None], clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._blackouts = blackouts
        self._tell = tell
        self._now = clock
        self._held: list[tuple[bytes, Any]] = []
        self._count = 0
        self._late_ns = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        enlarge_receive_buffer(self._socket)
        self._socket.bind((LOCALHOST, 0))
        self.port: int = self._socket.getsockname()[1]

    def run(self, stopped: Callable[[], bool]) -> None:
        """Answer until told to stop; a blackout under way ends then."""
        while not stopped():
            self._wait()
            self._take()
        now = self._now()
        if now >= self._blackouts.begin_ns:
            self._end(min(now, self._blackouts.end_ns))
        self._socket.close()

    def _wait(self) -> None:
        now, blackouts = self._now(), self._blackouts
        dark = now >= blackouts.begin_ns
        border = blackouts.end_ns if dark else blackouts.begin_ns
        near = border - now <= 2 * WATCH_NS
        until = min(border, now + (WATCH_NS if dark or near else LONGEST_WAIT_NS))
        select.select((self._socket,), (), (), max(0, until - now) / 1e9)
        if dark or near:
            self._late_ns = max(self._late_ns, self._now() - until)
        if self._now() >= blackouts.end_ns:
            self._end(blackouts.end_ns)

    def _take(self) -> None:
        receive, now = self._socket.recvfrom, self._now
        for _ in range(REQUESTS_AT_ONCE):
            try:
                request, sender = receive(64)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            if len(request) != REQUEST_BYTES:
                continue
            read = now()
            if read < self._blackouts.begin_ns:
                self._answer(request, sender)
            elif read < self._blackouts.end_ns:
                self._swallow(request, sender)
            else:
                self._end(self._blackouts.end_ns)
                self._answer(request, sender)

    def _answer(self, request: bytes, sender: Any) -> None:
        try:
            self._socket.sendto(request + self._now().to_bytes(8, "little"), sender)
        except (BlockingIOError, ConnectionRefusedError):
            return  # who asked has gone, or does not read

    def _swallow(self, request: bytes, sender: Any) -> None:
        self._count += 1
        if self._blackouts.mode == "hold":
            self._held.append((request, sender))

    def _end(self, end_ns: int) -> None:
        """End the blackout and tell of it; what was held goes out only now, so now is when that one has ended."""
        blackouts = self._blackouts
        if self._held:
            end_ns = self._now()
        for request, sender in self._held:
            self._answer(request, sender)
        self._tell(
            "control-blackout", mode=blackouts.mode, start_ns=blackouts.begin_ns, end_ns=end_ns,
            late_ns=self._late_ns, requests=self._count,
        )
        self._held.clear()
        self._count = self._late_ns = 0
        blackouts.advance()


def main(arguments: list[str]) -> int:
    """Answer until told to end; 3 when that is impossible."""
    options = _options(arguments)
    end_with_parent()
    teller = Teller()
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        granted = take_level(options.priority)
    except CannotRunError as error:
        print(*error.reasons, sep="\n", file=sys.stderr)
        return 3
    tighten_timers()
    processor = pin(options.place) if granted.startswith("SCHED") else None
    every, length = round(options.every_ms * 1e6), round(options.blackout_ms * 1e6)
    blackouts = Blackouts(time.monotonic_ns(), every, length, options.seed)
    responder = Responder(blackouts, lambda kind, **facts: teller.tell(kind, options.stream, **facts))
    gc.freeze()
    gc.disable()
    teller.tell("responder", options.stream, pid=os.getpid(), priority=granted, cpu=processor, port=responder.port)
    responder.run(lambda: bool(told) or teller.broken)
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="load.control")
    parser.add_argument("--stream", default="control/client")
    parser.add_argument("--every-ms", type=float, required=True)
    parser.add_argument("--blackout-ms", type=float, required=True)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--priority", default="realtime")
    parser.add_argument("--place", type=int, default=0, help="which processor to stay on, counted from the last one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
