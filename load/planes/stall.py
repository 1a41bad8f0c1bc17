"""A stall of a kept connection: nothing is lost, and everything waits for the kernel's next retransmission."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from load.planes.tcp_info import TcpInfo, read_tcp_info

SLOW_NS = 150_000_000
"""An answer later than this makes a stall: no retransmission timer of Linux is shorter by default."""
STEPS_TOLD = 12


class Stall:
    """Follows one connection while its oldest request waits, because an answer resets what explains the wait."""

    def __init__(self) -> None:
        self._start_ns = 0
        self._told = False
        self._retrans = 0
        self._seen: TcpInfo | None = None
        self._steps: list[list[int]] = []

    def look(self, connection: socket.socket, oldest_ns: int, now_ns: int) -> None:
        """Note what the kernel says, when the oldest unanswered request has waited long enough for that."""
        if now_ns - oldest_ns <= SLOW_NS or self._told:
            return
        info = read_tcp_info(connection)
        self._start_ns = oldest_ns
        if self._seen is None or info.backoff > self._seen.backoff or info.retransmits > self._seen.retransmits:
            if len(self._steps) < STEPS_TOLD:
                self._steps.append([now_ns - oldest_ns, info.retransmits, info.rto_us])
            self._seen = info

    def slow(self, start_ns: int, now_ns: int) -> bool:
        """Whether this answer ends a stall; later slow answers belong to the same one, until a prompt one comes."""
        if now_ns - start_ns <= SLOW_NS:
            self._told = False
            return False
        if self._told:
            return False
        self._start_ns, self._told = start_ns, True
        return True

    def end(self, now_ns: int, connection: socket.socket | None, *, answered: bool) -> dict[str, Any] | None:
        """The facts of the stall that ends now, or None when there was none."""
        seen, steps, start = self._seen, self._steps, self._start_ns
        self._seen, self._steps, self._start_ns = None, [], 0
        if not start:
            return None
        last: TcpInfo | None = None
        if connection is not None:
            with contextlib.suppress(OSError):
                last = read_tcp_info(connection)
        seen = seen or last
        facts: dict[str, Any] = {"start_ns": start, "end_ns": now_ns, "answered": answered, "steps": steps}
        if seen is not None:
            facts |= {
                "rto_us": seen.rto_us, "retransmits": seen.retransmits, "backoff": seen.backoff,
                "unacked": seen.unacked, "rtt_us": seen.rtt_us, "state": seen.state,
            }
        return facts | {"total_retrans": last.total_retrans if last is not None else 0}
