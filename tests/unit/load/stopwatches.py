"""A stopwatch in the test's own process, against whatever answers on the loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from drainproof.record.spool import Spool
from load.plan import Plan
from load.stopwatch_loop import Stopwatch
from load.stopwatch_streams import view_of
from load.telling import Teller

MS = 1_000_000
SECOND = 1_000_000_000


def plan_of(case_dir: Path, port: int, *, http_port: int | None = None, **load: Any) -> Plan:
    """One machine, `a`, that answers everything at one port; all streams at 100 a second."""
    rates = dict.fromkeys(("udp_rate", "heartbeat_rate", "tcp_kept_rate", "tcp_new_rate", "control_rate"), 100)
    data = {
        "case_dir": str(case_dir), "run_id": "run-1", "load": rates | load,
        "portal": {
            "vms": [{"name": "a", "address": "127.0.0.1"}], "virtual_ip": "", "http_port": http_port or port,
            "agent_port": port,
        },
        "metrics_ports": {"stopwatch": 0},
    }
    return Plan.model_validate_json(json.dumps(data))


class Told(Teller):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, Any]]] = []

    def tell(self, kind: str, subject: str = "", t_ns: int | None = None, **facts: Any) -> None:
        self.events.append((kind, subject, facts))


class Bench:
    """Runs the loop for a while or until something has come about; its rows by stream."""

    def __init__(
        self, plan: Plan, control_port: int, clock: Callable[[], int] = time.monotonic_ns, vantage: str = "outside"
    ) -> None:
        self.view = view_of(plan, vantage)
        self.told = Told()
        self.spool = Spool.create(self.view.streams, capacity=self.view.capacity)
        names = [stream.name for stream in self.view.heartbeats]
        self.ticks = Spool.create(names, keyed=True, capacity=self.view.heartbeat_capacity) if names else None
        spools = [self.spool, *([self.ticks] if self.ticks else [])]
        self.stopwatch = Stopwatch(plan, self.view, spools, control_port, self.told, clock)

    def run(self, seconds: float) -> None:
        end = time.monotonic_ns() + round(seconds * SECOND)
        self.stopwatch.loop.run(lambda: time.monotonic_ns() >= end)

    def run_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic_ns() + 10 * SECOND

        def met() -> bool:
            assert time.monotonic_ns() < end, "the condition did not come about in 10 s"
            return condition()

        self.stopwatch.loop.run(met)

    def close(self) -> None:
        """Stop sending and take what is under way."""
        self.stopwatch.run(lambda: True)

    def rows(self, stream: str) -> npt.NDArray[Any]:
        spool = self.ticks if stream.startswith("heartbeat") and self.ticks else self.spool
        rows = spool.rows(0, spool.written)
        ours: npt.NDArray[Any] = rows[rows["stream"] == spool.streams.index(stream)]
        return ours

    def outcomes(self, stream: str) -> list[int]:
        return [int(outcome) for outcome in np.unique(self.rows(stream)["outcome"])]
