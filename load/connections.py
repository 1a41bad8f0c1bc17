"""Non-blocking connections of the probe: each carries one request at a time and says when it has ended, and how."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from drainproof.record import Outcome
from load.http import OK_STATUS, Answer, MalformedAnswerError, get

RECEIVE_BYTES = 16384
POOL_SIZE = 4
"""Idle connections a stream keeps; more are opened while all are busy, and closed again afterwards."""
WATCHED = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
"""Edge-triggered: registered once for the connection's life, one system call instead of three."""
CLIENT_FAULTS = (errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
"""Failures to connect that say nothing about the target; a probe that has them must end instead of accusing anyone."""

Done = Callable[["Request", int, Outcome, str], None]
"""Called with the request, the instant it ended, how, and the reason of a failure."""


class Request:
    """One probe: of which stream, when due, when sent."""

    __slots__ = ("intended_ns", "start_ns", "stream")

    def __init__(self, stream: int, intended_ns: int, start_ns: int) -> None:
        self.stream = stream
        self.intended_ns = intended_ns
        self.start_ns = start_ns


class Target:
    """Where the requests of one stream go, and the connections it keeps."""

    def __init__(self, address: str, port: int, path: str, *, keep: bool, host: str = "") -> None:
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.peer = (address, port)
        self.keep = keep
        self.request = get(path, host or address, keep=keep)
        self.idle: deque[Connection] = deque()


class Connection:
    """One TCP connection of a target."""

    __slots__ = ("answer", "fd", "request", "sent", "socket", "target")

    def __init__(self, target: Target, request: Request) -> None:
        self.target = target
        self.request: Request | None = request
        self.answer = Answer()
        self.sent = False
        self.socket = socket.socket(target.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.fd = self.socket.fileno()


class Connections:
    """All connections of a probe, behind one epoll; nothing here ever blocks."""

    def __init__(self, done: Done, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._epoll = select.epoll()
        self._watched = [self._epoll.fileno()]
        self._open: dict[int, Connection] = {}
        self._done = done
        self._clock = clock

    def send(self, target: Target, request: Request) -> Connection:
        """Send a request on an idle connection of its target, or else on a new one."""
        while target.idle:
            connection = target.idle.popleft()
            if self._sent_on_idle(connection):
                connection.request, connection.answer = request, Answer()
                return connection
            self._close(connection)  # nothing was sent on it, so the request may start anew
        return self._connect(target, request)

    def wait(self, until_ns: int) -> None:
        """Wait for what arrives, but not past an instant, and take it in.

        select() on the epoll's own descriptor, because its timeout counts microseconds and epoll's milliseconds.
        """
        left = until_ns - self._clock()
        ready, _, _ = select.select(self._watched, [], [], max(0, left) / 1e9)
        if ready:
            for fd, events in self._epoll.poll(0):
                if connection := self._open.get(fd):
                    self._advance(connection, events)

    def give_up(self, connection: Connection, request: Request) -> None:
        """End a request that is still under way on that connection as timed out."""
        if connection.request is request:
            self._end(connection, Outcome.TIMEOUT, "no answer" if connection.sent else "not connected")

    def close(self) -> None:
        """Close everything; what is under way is forgotten."""
        for connection in list(self._open.values()):
            self._close(connection)
        self._epoll.close()

    def _connect(self, target: Target, request: Request) -> Connection:
        connection = Connection(target, request)
        self._open[connection.fd] = connection
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = connection.socket.connect_ex(target.peer)
        if code in CLIENT_FAULTS:
            raise OSError(code, f"no connection to {target.peer} can be opened on this machine: {os.strerror(code)}")
        if code in (0, errno.EINPROGRESS):
            self._epoll.register(connection.fd, WATCHED)
        else:
            self._end(connection, Outcome.ERROR, f"connect: {errno.errorcode.get(code, code)}")
        return connection

    def _advance(self, connection: Connection, events: int) -> None:
        try:
            if connection.request is None:
                if not self._usable(connection):
                    self._close(connection)
                return
            if not connection.sent and not self._sent_now(connection):
                return
            if events & ~select.EPOLLOUT:
                self._receive(connection)
        except OSError as error:
            step = "answer" if connection.sent else "send"
            self._end(connection, Outcome.ERROR, f"{step}: {errno.errorcode.get(error.errno or 0, str(error))}")
        except MalformedAnswerError as error:
            self._end(connection, Outcome.ERROR, str(error))

    @staticmethod
    def _usable(connection: Connection) -> bool:
        """Whether an idle connection has neither ended nor said anything unasked."""
        try:
            connection.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def _sent_on_idle(self, connection: Connection) -> bool:
        # Its end may have come in the same event as its last answer, so the kernel is asked once more.
        try:
            return self._usable(connection) and connection.socket.send(connection.target.request) > 0
        except OSError:
            return False

    def _sent_now(self, connection: Connection) -> bool:
        if code := connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._end(connection, Outcome.ERROR, f"connect: {errno.errorcode.get(code, code)}")
            return False
        connection.socket.send(connection.target.request)
        connection.sent = True
        return True

    def _receive(self, connection: Connection) -> None:
        while True:
            try:
                data = connection.socket.recv(RECEIVE_BYTES)
            except BlockingIOError:
                return
            if data and connection.answer.feed(data):
                self._judge(connection)
                return
            if not data:
                if connection.answer.ends_with_connection():
                    self._judge(connection)
                else:
                    self._end(connection, Outcome.ERROR, "closed without a whole answer")
                return

    def _judge(self, connection: Connection) -> None:
        status = connection.answer.status
        if status == OK_STATUS:
            self._end(connection, Outcome.OK, "")
        else:
            self._end(connection, Outcome.ERROR, f"status {status}")

    def _end(self, connection: Connection, outcome: Outcome, reason: str) -> None:
        now = self._clock()
        request, connection.request = connection.request, None
        idle = connection.target.idle
        answered = outcome is Outcome.OK or connection.answer.status != 0
        if answered and connection.target.keep and connection.answer.keeps and len(idle) < POOL_SIZE:
            idle.append(connection)
        else:
            self._close(connection)
        if request is not None:
            self._done(request, now, outcome, reason)

    def _close(self, connection: Connection) -> None:
        if self._open.pop(connection.fd, None) is not None:
            connection.socket.close()
        connection.request = None
        if connection in connection.target.idle:
            connection.target.idle.remove(connection)
