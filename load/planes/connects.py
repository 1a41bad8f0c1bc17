"""New TCP connections: opened, and closed as soon as they stand. Nothing is sent, so any server will do."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable

from drainproof.record import Outcome
from load.planes.book import Book
from load.planes.datagrams import raise_own_fault
from load.planes.loop import Loop, Times

_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: the connection leaves no TIME_WAIT behind, and ports do not run out."""
_ERROR, _TIMEOUT = int(Outcome.ERROR), int(Outcome.TIMEOUT)


class Connects:
    """Connections to one target; one that does not stand within the limit is given up."""

    def __init__(
        self, loop: Loop, book: Book, stream: int, times: Times, peer: tuple[str, int],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.times = times
        self._loop = loop
        self._book = book
        self._stream = stream
        self._peer = peer
        self._family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
        self._now = clock
        self._opening: dict[int, tuple[socket.socket, int]] = {}
        self._order: deque[tuple[int, int, int]] = deque()

    def fire(self, due_ns: int) -> None:
        """Open the connection that is due, and give up those that are overdue."""
        opened = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        fd = opened.fileno()
        start = self._now()
        slot = self._book.begin(self._stream, due_ns, start)
        code = opened.connect_ex(self._peer)
        if code not in (0, errno.EINPROGRESS):
            self._book.end(slot, self._now(), _ERROR)
            opened.close()
            raise_own_fault(OSError(code, os.strerror(code)))
            return
        self._opening[fd] = opened, slot
        self._order.append((start + self._book.limit_ns, fd, slot))
        self._loop.watch(fd, self.take, select.EPOLLOUT)
        self.expire(start)

    def take(self, fd: int) -> None:
        """A connection stands or was refused."""
        now = self._now()
        opened, slot = self._opening.pop(fd)
        if opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._book.end(slot, now, _ERROR)
        else:
            self._book.answer(slot, now, now)
        self._shut(fd, opened)

    def expire(self, now_ns: int) -> None:
        """Give up what has not come about within the limit."""
        order = self._order
        while order and order[0][0] <= now_ns:
            expires, fd, slot = order.popleft()
            opened, owner = self._opening.get(fd, (None, -1))
            if opened is not None and owner == slot:
                del self._opening[fd]
                self._book.end(slot, expires, _TIMEOUT)
                self._shut(fd, opened)

    def close(self) -> None:
        """Let go of all that is under way."""
        while self._opening:
            fd, (opened, _) = self._opening.popitem()
            self._shut(fd, opened)

    def _shut(self, fd: int, opened: socket.socket) -> None:
        self._loop.forget(fd)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        opened.close()
