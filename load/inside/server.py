"""The one port of a pod of clients: for its harness, who comes through the Kubernetes API and knows the token."""

from __future__ import annotations

import hmac
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from load.inside import files
from load.inside.children import Children

TOKEN_HEADER: Final = "X-Drainproof-Token"
STATE_SECONDS = 0.5
MOST_BYTES = 1 << 16
"""Of an order's body."""


@dataclass
class Desk:
    """What the harness may ask for, and when it was last heard."""

    children: Children
    results: Path
    token: str
    identity: dict[str, str]
    """By what a clock is known for the same: the boot, and its time namespace."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the harness needs nothing more."""
    heard: float = field(default_factory=time.monotonic)

    def hear(self) -> None:
        """Somebody who knows the token is there."""
        self.heard = time.monotonic()


def serve(desk: Desk, address: str, port: int) -> ThreadingHTTPServer:
    """A server in threads of its own; raises OSError when the port cannot be had."""

    class Handler(_Handler):
        pass

    Handler.desk = desk
    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="desk", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    """One request. The protocol is HTTP/1.0: an answer ends with its connection, however long it is."""

    desk: Desk
    timeout = 60

    def do_GET(self) -> None:
        received_ns = time.monotonic_ns()
        answers: dict[str, Callable[[], None]] = {
            "/clock": lambda: self._clock(received_ns), "/state": self._state, "/files": self._files,
        }
        self._answer(answers)

    def do_POST(self) -> None:
        answers = {
            "/start": lambda: self._order(self.desk.children.start),
            "/stop": lambda: self._order(self.desk.children.stop), "/end": self._end,
        }
        self._answer(answers)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line each."""

    def _answer(self, answers: dict[str, Callable[[], None]]) -> None:
        given = self.headers.get(TOKEN_HEADER, "")
        if not hmac.compare_digest(given.encode(), self.desk.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the token is missing or wrong")
            return
        self.desk.hear()
        answer = answers.get(self.path.partition("?")[0])
        if answer is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such thing")
            return
        with suppress(BrokenPipeError, ConnectionResetError, TimeoutError):  # who asked has gone
            answer()

    def _clock(self, received_ns: int) -> None:
        self._head("application/json")
        told = {"received_ns": received_ns, **self.desk.identity, "sent_ns": time.monotonic_ns()}
        self.wfile.write(json.dumps(told).encode())

    def _state(self) -> None:
        """A line at once and then twice a second, each the whole state, until nobody reads any more."""
        self._head("application/x-ndjson")
        while not self.desk.over.is_set():
            told = {"t_ns": time.monotonic_ns(), "observers": self.desk.children.state()}
            self.wfile.write(json.dumps(told).encode() + b"\n")
            self.wfile.flush()
            self.desk.hear()
            self.desk.over.wait(STATE_SECONDS)

    def _files(self) -> None:
        self._head("application/gzip")
        files.send(self.desk.results, self.wfile)

    def _order(self, carry_out: Callable[[list[str]], None]) -> None:
        try:
            size = min(int(self.headers.get("Content-Length") or 0), MOST_BYTES)
            order: Any = json.loads(self.rfile.read(size) or b"{}")
            carry_out([str(name) for name in order.get("names", ())])
        except (ValueError, AttributeError, TypeError, OSError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._head("application/json")
        self.wfile.write(b"{}")

    def _end(self) -> None:
        self._head("application/json")
        self.wfile.write(b"{}")
        self.desk.over.set()

    def _head(self, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(reason.encode())
