"""The series at the end of a case: asked for again while they may be had, and told apart from what is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_api_client import PrometheusConnect

from drainproof.clock import Anchor
from drainproof.prometheus import Prometheus
from drainproof.record import Case
from drainproof.record.case import METRICS
from drainproof.wait import Deadline
from fixtures.metrics import QUERIES, collect
from tests.unit.harness.fakes import FakeClock

SAMPLES = [{"metric": {}, "values": [[0, "1"]]}]
PATIENCE = 45.0


@dataclass
class Server:
    """Prometheus behind an API server that is away for a while."""

    clock: FakeClock
    away_seconds: float
    asked: list[str] = field(default_factory=list)

    def custom_query(self, query: str, params: dict[str, str]) -> list[dict[str, Any]]:
        self.asked.append(query)
        if self.clock.now_ns < self.away_seconds * 1e9:
            raise ConnectionRefusedError("nobody is there")
        return SAMPLES


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """A case that takes evidence."""
    case = Case(tmp_path / "case")
    yield case
    case.close()


def series(case: Case, away_seconds: float) -> tuple[list[dict[str, Any]], Server]:
    """What is in the record of a server that was away for so long."""
    clock = FakeClock()
    server = Server(clock, away_seconds)
    prometheus = Prometheus(cast(PrometheusConnect, server))
    collect(prometheus, case, "ns", Anchor(0, 0), (0, 10**9), Deadline(PATIENCE, clock))
    return json.loads((case.directory / METRICS).read_text(encoding="utf-8")), server


def test_an_outage_shorter_than_the_patience_costs_no_series(case: Case) -> None:
    """Each is asked for until it is there, and then not again."""
    found, server = series(case, away_seconds=12)
    assert [one["error"] for one in found] == [None] * len(QUERIES)
    assert [one["result"] for one in found] == [SAMPLES] * len(QUERIES)
    assert len(server.asked) == len(QUERIES) + 12


def test_a_server_that_stays_away_is_waited_for_once(case: Case) -> None:
    """The queries share the deadline; each keeps its error, which is no empty answer."""
    found, server = series(case, away_seconds=10 * PATIENCE)
    assert len(found) == len(QUERIES)
    assert all("nobody is there" in one["error"] and one["result"] == [] for one in found)
    assert server.clock.now_ns == pytest.approx(PATIENCE * 1e9)
