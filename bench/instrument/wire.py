"""`python -m bench.instrument.wire TRUTH RING`: copies frames between two interfaces, except during blackouts.

It is told blackouts as lines of JSON on standard input and ends when that closes. Whether a frame falls into a
blackout is decided by the instant at which the kernel took it from its sender, not by when this process came to read
it; so a wire that wakes late delays frames, and the truth about what was dropped stays sharp.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

from bench.instrument.blackouts import MS, Blackout, Truth, from_line
from bench.instrument.places import CLIENT_SIDE, SERVER_SIDE

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SPEC = struct.Struct("qq")
LONGEST_FRAME = 2048
RECEIVE_BYTES = 8 << 20
BATCH, PORTION = 64, 2
PAUSE_NS = MS // 5
"""Requests that were held are let go in portions with pauses, as by a link of limited speed: a server must be able to
answer, and other wires to work."""
CONTROL_BYTES = 64
SECOND = 1_000_000_000
NEAR_NS = MS
"""A frame taken further from a border than this is under way when the border passes neither here nor as an answer."""
SHARP_NS = MS // 10
"""A frame that waited longer for the wire near a border blurs that border, because its answer comes so much later."""
STALL_NS = 3 * MS // 10
"""A frame that waited so long shows that the wire did not run."""
LATENESS_BIN_NS, LATENESS_BINS = 10_000, 1000


class Way:
    """One direction: where frames come from, where they go, and those that are held back."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.held: deque[bytes] = deque()

    def send(self, frame: bytes) -> None:
        """A full queue or an interface that has just gone loses the frame, as any wire does."""
        with contextlib.suppress(OSError):
            self.target.send(frame)


class Wire:
    """Two interfaces, the blackouts still to come, and the frames that are held back."""

    def __init__(self, ring: int, truth: Path) -> None:
        near, far = (_end(device) for device in (CLIENT_SIDE, SERVER_SIDE))
        self._ways = (Way(near, far), Way(far, near))
        self._ring = ring
        self._truth = truth.open("a", buffering=1)
        self._coming: deque[Blackout] = deque()
        self._dropped = self._held = 0
        self._worst = [0, 0]
        """Longest wait of a frame near the begin and near the end of the blackout at hand."""
        self._released_ns = self._drained_ns = self._next_ns = 0
        self._letting_go = False
        self.frames = 0
        self.stalls: list[tuple[int, int]] = []
        self.lateness = [0] * LATENESS_BINS

    def run(self) -> None:
        """Copy until standard input closes."""
        entrance = sys.stdin.fileno()
        sockets = [way.source for way in self._ways]
        while True:
            readable, _, _ = select.select((*sockets, entrance), (), (), self._patience())
            if entrance in readable:
                line = _line(entrance)
                if not line:
                    return
                self._coming.extend(from_line(line))
            for way in self._ways:
                if way.source in readable:
                    self._copy(way)
            if self._coming:
                self._turn(time.monotonic_ns())
            if self._letting_go:
                self._let_go(time.monotonic_ns())

    def _patience(self) -> float:
        """Seconds until the next moment at which something is due without a frame, at most a second."""
        if self._letting_go:
            return PAUSE_NS / 1e9
        if not self._coming:
            return 1.0
        if self._released_ns:
            return NEAR_NS / 1e9
        return min(1.0, max(0, self._coming[0].end_ns - time.monotonic_ns()) / 1e9)

    def _copy(self, way: Way) -> None:
        for _ in range(BATCH):
            try:
                frame, extra, _, _ = way.source.recvmsg(LONGEST_FRAME, CONTROL_BYTES)
            except BlockingIOError:
                return
            now = time.monotonic_ns()
            seconds, rest = SPEC.unpack(extra[0][2])
            waited = time.time_ns() - seconds * SECOND - rest
            if waited > STALL_NS:
                self._stalled(now - waited, now)
            if self._coming and self._stops(way, frame, now - waited, waited):
                continue
            if self._letting_go and way.held:
                way.held.append(frame)  # behind those that are being let go
            else:
                way.send(frame)
            self.frames += 1
            waited //= LATENESS_BIN_NS
            self.lateness[waited if waited < LATENESS_BINS else -1] += 1

    def _stalled(self, begin_ns: int, end_ns: int) -> None:
        """The wire itself stood still, because its processor was taken away: an interruption that nobody planned."""
        if self.stalls and begin_ns <= self.stalls[-1][1]:
            self.stalls[-1] = (min(begin_ns, self.stalls[-1][0]), end_ns)
        else:
            self.stalls.append((begin_ns, end_ns))

    def _stops(self, way: Way, frame: bytes, taken_ns: int, waited_ns: int) -> bool:
        """Whether the blackout at hand stops a frame that its sender gave away at `taken_ns`."""
        while self._coming and taken_ns >= self._coming[0].end_ns:
            if not self._turn(taken_ns):
                break
        if not self._coming:
            return False
        blackout = self._coming[0]
        border = 0 if abs(taken_ns - blackout.begin_ns) < NEAR_NS else 1
        if waited_ns > self._worst[border] and (border == 0 or abs(taken_ns - blackout.end_ns) < NEAR_NS):
            self._worst[border] = waited_ns
        if not blackout.begin_ns <= taken_ns < blackout.end_ns or (self._released_ns and blackout.mode == "hold"):
            return False
        if blackout.mode == "hold" and len(way.held) < self._ring:
            way.held.append(frame)
            self._held += 1
        else:
            self._dropped += 1
        return True

    def _turn(self, now: int) -> bool:
        """Note that the end of the blackout at hand has come; whether its border is well behind, and its truth told."""
        blackout = self._coming[0]
        if now >= blackout.end_ns and not self._released_ns:
            self._released_ns = time.monotonic_ns()
            self._letting_go = True
        if now < blackout.end_ns + NEAR_NS or self._letting_go:
            return False
        self._tell(self._coming.popleft())
        return True

    def _let_go(self, now: int) -> None:
        """All that was held on the way back, then a few requests at a time: their answers follow without a queue."""
        if now < self._next_ns:
            return
        self._next_ns = now + PAUSE_NS
        forth, back = self._ways
        for way, most in ((back, len(back.held)), (forth, min(PORTION, len(forth.held)))):
            for _ in range(most):
                way.send(way.held.popleft())
        self._letting_go = bool(forth.held)
        self._drained_ns = now

    def _tell(self, blackout: Blackout) -> None:
        begin_late, end_late = (worst if worst > SHARP_NS else 0 for worst in self._worst)
        end = self._released_ns if blackout.mode == "hold" else blackout.end_ns
        truth = Truth(
            blackout.mode, blackout.begin_ns - begin_late, blackout.begin_ns, end, end + end_late, self._dropped,
            self._held, max(self._worst), self._drained_ns if self._held else 0,
        )
        self._truth.write(json.dumps(asdict(truth)) + "\n")
        self._dropped = self._held = 0
        self._worst, self._released_ns = [0, 0], 0


def _end(device: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    end.bind((device, ETH_P_ALL))
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    end.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
    end.setblocking(False)
    return end


def _line(entrance: int) -> bytes:
    """One whole line; a plan longer than a pipe's buffer comes in pieces."""
    pieces = []
    while piece := os.read(entrance, 1 << 16):
        pieces.append(piece)
        if piece.endswith(b"\n"):
            break
    return b"".join(pieces)


def _percentile(bins: list[int], share: float) -> float:
    """Microseconds that this share of the frames waited at most."""
    left = share * sum(bins)
    for number, count in enumerate(bins):
        left -= count
        if left <= 0:
            return (number + 1) * LATENESS_BIN_NS / 1000
    return len(bins) * LATENESS_BIN_NS / 1000


def main(arguments: list[str]) -> int:
    """Copy, then print what it cost as a line of JSON."""
    truth, ring = arguments
    wire = Wire(int(ring), Path(truth))
    gc.collect()
    gc.freeze()
    gc.disable()
    print(json.dumps({"ready": True}), flush=True)
    before = time.process_time()
    wire.run()
    spent = time.process_time() - before
    report = {
        "frames": wire.frames, "cpu_us_per_frame": round(1e6 * spent / max(1, wire.frames), 2),
        "waited_us": {f"p{100 * share:g}": _percentile(wire.lateness, share) for share in (0.5, 0.99, 0.999)},
        "stalls": wire.stalls,
    }
    print(json.dumps(report), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
