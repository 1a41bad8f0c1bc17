"""A web server on the loopback whose answers a test can hold, and plans that point at it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from load.plan import Plan

SECONDS = 5.0


class Handler(BaseHTTPRequestHandler):
    """Answers as its server says: now or once released, with which status, for how many requests a connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        identity = {"boot_id": "b", "hostname": "h", "uptime_s": 1.5}
        self._answer({"doctors": [{"id": 1}], "patients": [{"id": 2}], **identity})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"id": 7})

    def _answer(self, content: dict[str, Any]) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        self.server.flowing.wait(SECONDS)
        if self.server.hang_up:
            self.close_connection = True
            return
        body = json.dumps(content).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or self.server.one_each

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The server; `flowing` holds every answer while it is clear."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.flowing = threading.Event()
        self.flowing.set()
        self.status = 200
        self.hang_up = False
        self.one_each = False
        self.seen: list[str] = []
        self.connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error here."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.flowing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def plan_data(case_dir: Path, port: int, **load: float) -> dict[str, Any]:
    return {
        "case_dir": str(case_dir),
        "run_id": "run-1",
        "portal": {"vms": [{"name": "a", "address": "127.0.0.1"}], "virtual_ip": "127.0.0.1", "http_port": port},
        "load": {"new_connection_rate": 50, "reused_connection_rate": 100, "timeout_seconds": 2, **load},
        "metrics_ports": {"probe": 0, "ledger": 0, "clinic": 0},
    }


@pytest.fixture
def plan(tmp_path: Path, server: Server) -> Plan:
    """One machine and the virtual address, both the server's."""
    return Plan.model_validate_json(json.dumps(plan_data(tmp_path / "case", server.server_port)))


@pytest.fixture
def plan_file(tmp_path: Path, plan: Plan) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(plan.model_dump_json())
    return path
