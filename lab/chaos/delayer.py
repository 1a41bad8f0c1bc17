"""`python -m lab.chaos.delayer`: holds back frames on one node's bridge, for kernels without netem.

The packet filter sends frames of delayed flows to the device of this process by rewriting their destination; they go
back into the bridge, with the right destination, when their time has come. It reads its flows from its standard input,
one JSON list a line, says `ready` after each, and ends, device and all, with its input.
"""

from __future__ import annotations

import asyncio
import fcntl
import heapq
import itertools
import json
import os
import random
import socket
import struct
import sys
from collections.abc import Callable

from pyroute2 import IPRoute

from lab.chaos.rules import DELAY_MAC, DelayedFlow
from lab.net.topology import BRIDGE

DEVICE = "delay0"
MOST_FRAMES = 20000
"""Frames that may wait at a time, the queue that Chaos Mesh gives netem; more are lost."""
_FRAME_BYTES = 65536
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_ADDRESSES = slice(26, 34)
"""Source and destination of an IPv4 packet in an Ethernet frame."""
_FDB_STATIC = 0x40
"""NUD_NOARP: never ages. A permanent entry would mean the bridge itself."""


class Delayer:
    """Frames and when they are due; without I/O but for the two functions it is given."""

    def __init__(self, send: Callable[[bytes], object], now: Callable[[], float]) -> None:
        self._send, self._now = send, now
        self._flows: dict[bytes, tuple[bytes, float, float]] = {}
        self._waiting: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()

    def use(self, flows: list[DelayedFlow]) -> None:
        """Delay these flows from now on; what waits already keeps its time."""
        self._flows = {
            socket.inet_aton(flow.source) + socket.inet_aton(flow.target):
                (bytes.fromhex(flow.mac.replace(":", "")), flow.seconds, flow.jitter)
            for flow in flows
        }

    def take(self, frame: bytes) -> None:
        """Keep the frame until it is due; one of no known flow, or one too many, is lost."""
        found = self._flows.get(frame[_ADDRESSES])
        if found is None or len(self._waiting) >= MOST_FRAMES:
            return
        mac, seconds, jitter = found
        due = self._now() + max(0.0, seconds + random.uniform(-jitter, jitter))
        heapq.heappush(self._waiting, (due, next(self._numbers), mac + frame[6:]))

    def release(self) -> float | None:
        """Send what is due; the seconds until the next frame is, or None when none waits."""
        while self._waiting:
            left = self._waiting[0][0] - self._now()
            if left > 0:
                return left
            self._send(heapq.heappop(self._waiting)[2])
        return None


def open_device() -> int:
    """A tap on the node's bridge that learns nothing and is sent nothing but what the filter sends there."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TAP | _IFF_NO_PI))
    with IPRoute() as ip:
        index = ip.link_lookup(ifname=DEVICE)[0]
        ip.link("set", index=index, master=ip.link_lookup(ifname=BRIDGE)[0], state="up")
        ip.brport("set", index=index, learning=0, unicast_flood=0, mcast_flood=0, bcast_flood=0)
        ip.fdb("replace", ifindex=index, lladdr=DELAY_MAC, state=_FDB_STATIC)
    return device


async def run(device: int) -> None:
    """Delay until the standard input ends."""
    loop = asyncio.get_running_loop()
    delayer = Delayer(lambda frame: _write(device, frame), loop.time)
    timer: list[asyncio.TimerHandle] = []

    def release() -> None:
        for handle in timer:
            handle.cancel()
        left = delayer.release()
        timer[:] = [loop.call_later(left, release)] if left is not None else []

    def arrived() -> None:
        for frame in iter(lambda: _read(device), b""):
            delayer.take(frame)
        release()

    loop.add_reader(device, arrived)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        delayer.use([DelayedFlow(*entry) for entry in json.loads(line)])
        print("ready", flush=True)


def _read(device: int) -> bytes:
    try:
        return os.read(device, _FRAME_BYTES)
    except BlockingIOError:
        return b""


def _write(device: int, frame: bytes) -> None:
    # A bridge that is full or on its way down loses the frame, as a network would.
    try:
        os.write(device, frame)
    except OSError:
        return


if __name__ == "__main__":
    asyncio.run(run(open_device()))
