"""Trouble of the API in the record of a case."""

from __future__ import annotations

from pathlib import Path

from drainproof.api import NODES, Cluster
from drainproof.record import EventLog
from drainproof.record.events import read_events
from drainproof.wait import Deadline
from fixtures.trouble import recorded
from tests.unit.harness.fakes import FakeClock
from tests.unit.harness.stub_api import Step, kubeconfig, status, stub_api


def test_what_was_repeated_is_in_the_record_and_outlasts_it(tmp_path: Path) -> None:
    """An event for each request that needed several tries, none for the others; a sealed record is left as it is."""
    log = EventLog(tmp_path / "events.jsonl")
    with stub_api() as api:
        api.answers(Step())
        connected = Cluster.connect(kubeconfig(tmp_path, api.url)).within(Deadline(600, FakeClock()))
        cluster = recorded(connected, log)
        cluster.get(NODES, "calm")
        api.answers(status(503), status(429), Step())
        cluster.get(NODES, "n")
        log.close()
        api.answers(status(503), Step())
        cluster.get(NODES, "late")
    [event] = read_events(tmp_path / "events.jsonl")
    assert (event.source, event.kind, event.object) == ("api", "trouble", "GET /api/v1/nodes/n")
    assert event.data.items() >= {"codes": [503, 429], "tries": 3, "answered": True}.items()
    assert "429" in event.data["words"]
