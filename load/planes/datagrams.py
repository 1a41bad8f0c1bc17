"""Datagram sockets whose arrivals the kernel stamps, so that an answer is not late because its reader was."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Callable

from drainproof.record import Outcome
from load.planes.book import Book
from load.planes.loop import Loop, Times
from load.schedule import SECOND

RECEIVE_BUFFER_BYTES = 8 << 20
"""Two seconds of answers that arrive at once find room."""
STEP_NS = 1_000_000
"""When wall and monotonic clock have moved against each other by more than this, the wall clock was set."""
OWN_FAULTS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.EBADF, errno.EINVAL)
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
ANCILLARY_BYTES = 64
_KERNEL_TIME = struct.Struct("=qq")
_ECHO = struct.Struct("<4sIQ")
_ECHO_MAGIC = b"DPE1"
_ECHO_REPLY_BYTES = 24
_ERROR = int(Outcome.ERROR)


class ArrivalClock:
    """Turns the kernel's wall times of arrival into monotonic ones.

    Between two readings the wall clock may be slewed, by less than can be seen here; when it was set, the instant of
    reading counts instead, until the next reading.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns, wall: Callable[[], int] = time.time_ns) -> None:
        self.now = clock
        self._wall = wall
        self._ahead_ns = wall() - clock()
        self._steady = True

    def read(self) -> None:
        """Compare the clocks, before datagrams are taken."""
        ahead = self._wall() - self.now()
        self._steady = -STEP_NS < ahead - self._ahead_ns < STEP_NS
        self._ahead_ns = ahead

    def arrival(self, ancillary: list[tuple[int, int, bytes]], now_ns: int) -> int:
        """The monotonic instant of arrival of a datagram with this ancillary data that was read just before now."""
        if not ancillary or not self._steady:
            return now_ns
        seconds, nanoseconds = _KERNEL_TIME.unpack(ancillary[0][2])
        arrived: int = seconds * SECOND + nanoseconds - self._ahead_ns
        return arrived if arrived < now_ns else now_ns


def datagram_socket(address: str, port: int) -> socket.socket:
    """A connected, non-blocking UDP socket with a large buffer and kernel times of arrival."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        enlarge_receive_buffer(opened)
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        opened.connect((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def enlarge_receive_buffer(opened: socket.socket) -> None:
    """Make room for a burst, beyond the system's limit where that is permitted."""
    try:
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


class Echo:
    """Echo requests to one target over UDP; each carries its slot in the spool as its sequence number."""

    def __init__(
        self, loop: Loop, book: Book, arrivals: ArrivalClock, stream: int, times: Times, peer: tuple[str, int]
    ) -> None:
        self.times = times
        self._book = book
        self._arrivals = arrivals
        self._now = arrivals.now
        self._stream = stream
        self._socket = datagram_socket(*peer)
        self._send = self._socket.send
        self._receive = self._socket.recvmsg_into
        self._request = bytearray(_ECHO.pack(_ECHO_MAGIC, 0, 0))
        self._reply = bytearray(64)
        self._into = [self._reply]
        self._sent = -1
        loop.collect(self._socket.fileno(), self.take)

    @property
    def port(self) -> int:
        """Our own port."""
        port: int = self._socket.getsockname()[1]
        return port

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def fire(self, due_ns: int) -> None:
        """Send the request that is due; one that cannot be sent is an error at once."""
        start = self._now()
        slot = self._sent = self._book.begin(self._stream, due_ns, start)
        _ECHO.pack_into(self._request, 0, _ECHO_MAGIC, 0, slot)
        try:
            self._send(self._request)
        except OSError as error:
            raise_own_fault(error)
            self._book.end(slot, self._now(), _ERROR)

    def take(self, _fd: int = -1) -> bool | None:
        """Take one datagram; whether it was an awaited answer, or None when there was none."""
        arrivals = self._arrivals
        arrivals.read()
        try:
            size, ancillary, _, _ = self._receive(self._into, ANCILLARY_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise_own_fault(error)
            self._book.end(self._sent, self._now(), _ERROR)  # the kernel does not say which one was refused
            return False
        now = self._now()
        magic, _, slot = _ECHO.unpack_from(self._reply)
        if size != _ECHO_REPLY_BYTES or magic != _ECHO_MAGIC:
            return False
        return self._book.answer(slot, arrivals.arrival(ancillary, now), now)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


def raise_own_fault(error: OSError) -> None:
    """Raise what says nothing about the target: a probe that has such trouble must end instead of accusing anyone."""
    if error.errno in OWN_FAULTS:
        raise error
