"""Echo requests on one kept TCP connection, pipelined: what users feel, retransmissions included."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from drainproof.record import Outcome
from load.planes.book import Book
from load.planes.datagrams import raise_own_fault
from load.planes.loop import Loop, Times
from load.planes.stall import Stall

MESSAGE_BYTES = 16
_MESSAGE = struct.Struct("<4sIQ")
_MAGIC = b"DPE1"
_SLOT_AT = 8
_SLOT = struct.Struct("<Q")
_ERROR = int(Outcome.ERROR)

Tell = Callable[[int, str, dict[str, Any]], None]
"""Called with an instant, the kind of an event and its facts."""


class Kept:
    """One target's connection; it is opened again, on the schedule, whenever it is lost."""

    def __init__(
        self, loop: Loop, book: Book, tell: Tell, stream: int, times: Times, peer: tuple[str, int],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.times = times
        self._loop = loop
        self._book = book
        self._tell = tell
        self._stream = stream
        self._peer = peer
        self._now = clock
        self._socket: socket.socket | None = None
        self._connected = False
        self._opened_ns = 0
        self._waiting: deque[tuple[int, int]] = deque()
        self._unsent = b""
        self._message = bytearray(_MESSAGE.pack(_MAGIC, 0, 0))
        self._answers = bytearray(4096)
        self._view = memoryview(self._answers)
        self._held = 0
        self._stall = Stall()
        self.open()

    def open(self) -> None:
        """Begin to connect; when that fails, the next request that is due tries again."""
        family = socket.AF_INET6 if ":" in self._peer[0] else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._connected, self._opened_ns = opened, False, self._now()
        code = opened.connect_ex(self._peer)
        if code not in (0, errno.EINPROGRESS):
            raise_own_fault(OSError(code, os.strerror(code)))
            self._drop()
            return
        self._loop.watch(opened.fileno(), self._finish_opening, select.EPOLLOUT)

    def fire(self, due_ns: int) -> None:
        """Send the request that is due; without a connection it is an error at once."""
        start = self._now()
        slot = self._book.begin(self._stream, due_ns, start)
        if self._socket is None or not self._connected:
            self._book.end(slot, start, _ERROR)
            self._retry(start)
            return
        _SLOT.pack_into(self._message, _SLOT_AT, slot)
        try:
            self._send()
        except BlockingIOError:
            self._book.end(slot, self._now(), _ERROR)
        except OSError as error:
            self._book.end(slot, self._now(), _ERROR)
            self._lose(errno.errorcode.get(error.errno or 0, str(error)))
        else:
            self._waiting.append((slot, start))
            self._stall.look(self._socket, self._waiting[0][1], start)

    def take(self, _fd: int) -> None:
        """Take the answers that have arrived."""
        assert self._socket is not None
        try:
            size = self._socket.recv_into(self._view[self._held:])
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(errno.errorcode.get(error.errno or 0, str(error)))
            return
        now = self._now()
        if not size:
            self._lose("closed by the peer")
            return
        self._held += size
        whole = self._held - self._held % MESSAGE_BYTES
        for at in range(0, whole, MESSAGE_BYTES):
            if not self._answered(_SLOT.unpack_from(self._answers, at + _SLOT_AT)[0], now):
                self._lose("an answer that was not asked for")
                return
        self._answers[: self._held - whole] = self._answers[whole : self._held]
        self._held -= whole

    def close(self) -> None:
        """Let go of the connection; a stall that has not ended is told as it stands."""
        self._tell_stall(self._stall.end(self._now(), self._socket, answered=False))
        self._drop()

    def _send(self) -> None:
        assert self._socket is not None
        if self._unsent:
            self._unsent = self._unsent[self._socket.send(self._unsent):]
            if self._unsent:
                raise BlockingIOError
        sent = self._socket.send(self._message)
        if sent < MESSAGE_BYTES:
            self._unsent = bytes(self._message[sent:])

    def _answered(self, slot: int, now_ns: int) -> bool:
        if not self._waiting or self._waiting[0][0] != slot:
            return False
        _, start = self._waiting.popleft()
        self._book.answer(slot, now_ns, now_ns)
        if self._stall.slow(start, now_ns):
            self._tell_stall(self._stall.end(now_ns, self._socket, answered=True))
        return True

    def _finish_opening(self, fd: int) -> None:
        assert self._socket is not None
        if self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._drop()
            return
        self._connected = True
        self._loop.watch(fd, self.take, select.EPOLLIN)

    def _retry(self, now_ns: int) -> None:
        """Give up an attempt that takes too long, and begin another one when there is none."""
        if self._socket is not None and now_ns - self._opened_ns > self._book.limit_ns:
            self._drop()
        if self._socket is None:
            self.open()

    def _lose(self, reason: str) -> None:
        now = self._now()
        self._tell_stall(self._stall.end(now, self._socket, answered=False))
        self._tell(now, "connection-lost", {"reason": reason, "unanswered": len(self._waiting)})
        while self._waiting:
            self._book.end(self._waiting.popleft()[0], now, _ERROR)
        self._drop()

    def _tell_stall(self, facts: dict[str, Any] | None) -> None:
        if facts is not None:
            self._tell(int(facts["end_ns"]), "tcp-stall", facts)

    def _drop(self) -> None:
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        self._socket, self._connected, self._unsent, self._held = None, False, b"", 0
