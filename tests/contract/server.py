"""The API server as a process of its own, with a temporary state directory, and a plain HTTP client for it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drainproof.clock import SystemClock
from lab import pki
from lab.config import LabConfig

START_SECONDS = 20.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """One HTTP answer: `body` is parsed JSON where the text is JSON."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class ApiServer:
    """A running server and the administrator's access to it."""

    config: LabConfig
    process: subprocess.Popen[bytes]

    @property
    def token(self) -> str:
        return self.config.token_file.read_text()

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """Send one request; `token` None is the anonymous user, "" the administrator."""
        sent = {"Accept": "application/json", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.config.server_url + path, data, sent, method=method)
        context = ssl.create_default_context(cafile=str(self.config.ca_file))
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), _parsed(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), _parsed(error.read()))

    def watch(self, path: str) -> list[dict[str, Any]]:
        """Every event of a watch that the query's timeoutSeconds ends."""
        answer = self.call("GET", path)
        text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
        return [json.loads(line) for line in text.splitlines() if line]


def _parsed(data: bytes) -> Any:
    text = data.decode()
    with contextlib.suppress(ValueError):
        return json.loads(text)
    return text


def pause(seconds: float) -> None:
    """Let time pass where the order of events in two processes is the subject of the test."""
    SystemClock().sleep(seconds)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """Start a server with its state in `folder`; stop it at the end."""
    config = LabConfig(name=f"contract{free_port()}", api_port=free_port(), state_dir=str(folder))
    config.save()
    pki.ensure(config)
    argv = [sys.executable, "-m", "lab.api", "--config", str(config.config_file)]
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    server = ApiServer(config, process)
    try:
        _wait_until_ready(server, folder / "api.log")
        yield server
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_ready(server: ApiServer, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if server.call("GET", "/readyz").status == 200:
                return
        pause(0.05)
    raise AssertionError(f"the API server did not become ready:\n{log.read_text()}")
