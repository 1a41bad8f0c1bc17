"""The observers in a pod of clients: child processes with their reports, started and stopped by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

PROJECT = Path(__file__).resolve().parents[2]
NAMES: Final = (
    "probe", "ledger", "witness", "clinic", "stopwatch", "membership", "historian", "audit", "clinic_worker",
)
"""The programs that may be ordered."""
STOP_SECONDS = 20.0
"""How long an observer may take to end once it was told to."""
TAIL_CHARACTERS = 800


@dataclass
class Child:
    """One program and the last that it reported."""

    process: subprocess.Popen[str]
    log: Path
    status: dict[str, Any] = field(default_factory=dict)
    ready: bool = False
    killed_at: float = 0.0
    """When it is killed if it has not ended, by this host's monotonic clock; 0: nobody has told it to end."""

    def listen(self) -> None:
        """Take in the reports until the process closes its output."""
        assert self.process.stdout is not None
        with self.process.stdout as reports:
            for line in reports:
                self._take_in(line)

    def _take_in(self, line: str) -> None:
        try:
            report = json.loads(line)
        except ValueError:
            return
        if report.get("kind") == "ready":
            self.ready = True
        elif report.get("kind") == "status":
            self.status = report

    def state(self) -> dict[str, Any]:
        """What the harness is told of it; the end of its log once it has ended."""
        code = self.process.poll()
        told = {"ready": self.ready, "status": self.status, "code": code, "pid": self.process.pid}
        if code:
            told["log"] = self.log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:]
        return told


class Children:
    """All programs that were started, by name. Its methods may be called from any thread."""

    def __init__(self, plan: Path, logs: Path, environment: Mapping[str, str]) -> None:
        self._plan = plan
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, names: Iterable[str]) -> None:
        """Start programs of this project; one that runs already is left alone. Raises ValueError for an unknown one."""
        wanted = list(names)
        if unknown := [name for name in wanted if name not in NAMES]:
            raise ValueError(f"no program of clients: {', '.join(unknown)}")
        with self._lock:
            for name in wanted:
                if name not in self._children:
                    self._children[name] = self._started(name)

    def _started(self, name: str) -> Child:
        log = self._logs / f"{name}.log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", f"load.{name}", str(self._plan)], cwd=PROJECT, env=self._environment, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
            )
        child = Child(process, log)
        threading.Thread(target=child.listen, name=f"listen-{name}", daemon=True).start()
        return child

    def stop(self, names: Iterable[str] = ()) -> None:
        """Tell the named programs, or all, to end; `state` says when they have."""
        wanted = set(names)
        with self._lock:
            for name, child in self._children.items():
                if (not wanted or name in wanted) and child.process.poll() is None and not child.killed_at:
                    child.process.send_signal(signal.SIGTERM)
                    child.process.send_signal(signal.SIGCONT)
                    child.killed_at = time.monotonic() + STOP_SECONDS

    def state(self) -> dict[str, dict[str, Any]]:
        """How each stands; kills those that were told to end and took too long."""
        with self._lock:
            for child in self._children.values():
                if child.killed_at and time.monotonic() > child.killed_at and child.process.poll() is None:
                    child.process.kill()
            return {name: child.state() for name, child in self._children.items()}

    def end(self) -> None:
        """End everything and wait for it."""
        self.stop()
        while any(state["code"] is None for state in self.state().values()):
            time.sleep(0.05)
