"""An API server that answers what it is told to, over real sockets: the client's trouble is made here."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from drainproof.clock import SystemClock


@dataclass(frozen=True)
class Step:
    """What one request meets. A body that can be called is made when it is sent.

    `reset`: the connection is reset in place of an answer; `cut`: it is closed within the body.
    """

    code: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    cut: bool = False
    seconds: float = 0.0
    """How late the answer is."""

    @property
    def data(self) -> bytes:
        body = self.body() if callable(self.body) else self.body
        return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def status(code: int, reason: str = "", message: str = "", **headers: str) -> Step:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return Step(code, body, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    body: Any
    token: str
    content_type: str


class Stub(ThreadingHTTPServer):
    """Answers each request with the next step, the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.steps: list[Step] = [Step()]
        self.seen: list[Seen] = []
        self.valid_token: str | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answers(self, *steps: Step) -> None:
        self.steps = list(steps)

    def next(self, seen: Seen) -> Step:
        with self._lock:
            self.seen.append(seen)
            if self.valid_token is not None and seen.token != self.valid_token:
                return status(401, "Unauthorized", "Unauthorized")
            return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is not the stub's trouble."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Stub

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "null")
        token = (self.headers.get("Authorization") or "").partition(" ")[2].strip()
        seen = Seen(self.command, self.path, body, token, self.headers.get("Content-Type") or "")
        step = self.server.next(seen)
        SystemClock().sleep(step.seconds)
        if not step.reset:
            self._send(step, step.data)
        if step.reset:
            # Closing without lingering: the peer gets a reset in place of an end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if step.reset or step.cut:
            self.close_connection = True

    def _send(self, step: Step, data: bytes) -> None:
        self.send_response(step.code)
        for name, value in step.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if step.cut else data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - what http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to tell."""


@contextmanager
def stub_api() -> Iterator[Stub]:
    with Stub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def kubeconfig(folder: Path, server: str, **user: Any) -> Path:
    """A kubeconfig for a server; `user` is how its user proves who he is."""
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "stub",
        "clusters": [{"name": "stub", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": user or {"token": "secret"}}],
        "contexts": [{"name": "stub", "context": {"cluster": "stub", "user": "me"}}],
    }))
    return path
