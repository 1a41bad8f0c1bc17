"""A simulated site and a rolling drain of it: the lab's own control plane and the harness, only the guests are not."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from bench import fleet_verdict
from drainproof.api import INSTANCES, NODES, Cluster
from drainproof.journal import Journal
from drainproof.record import Case
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from fixtures.watching import watching
from lab import processes
from lab.simulated import census, site
from lab.simulated.population import HOME
from scenarios.drain import Drain
from scenarios.rolling_drain import RollingDrain
from tests.contract.server import free_port

MACHINES, NODE_COUNT = 8, 3
SCALE = 0.02


def test_every_machine_is_moved_once_per_drain_and_nothing_of_the_site_stays(tmp_path: Path) -> None:
    """The harness's count of its requests is the server's; a launcher's log tells the downtime of each move."""
    plan = site.Plan(tmp_path / "site", NODE_COUNT, MACHINES, free_port(), SCALE)
    with site.running(plan) as there:
        cluster = Cluster.connect(there.config.kubeconfig)
        case = Case(tmp_path / "record" / "case")
        _drain_all(cluster, case, Journal.of(tmp_path / "record"))
        served = _served(there)
        made = {f"{verb} {what}": count for (verb, what), count in cluster.requests.by_resource().items()}
    events = list(fleet_verdict.lines(case.directory / "events.jsonl"))
    told = fleet_verdict.read(events)
    assert fleet_verdict.reasons(told, MACHINES, NODE_COUNT) == []
    moves = told.due.total()
    assert moves >= MACHINES
    assert Counter(event.kind for event in events if event.source == "hypervisor") == {"downtime": moves}
    assert sum(made.values()) == sum(served.values())
    assert (made["create pods/eviction"], served["post pods/eviction"]) == (2 * moves, 2 * moves)
    assert processes.marked(there.config.name) == []


def _drain_all(cluster: Cluster, case: Case, journal: Journal) -> None:
    nodes = sorted(node["metadata"]["name"] for node in cluster.items(NODES))
    machines = [VirtualMachine(cluster, vmi["metadata"]["name"], HOME) for vmi in cluster.items(INSTANCES, HOME)]
    with watching(cluster, HOME, case.events, lambda kind, facts: None) as watches:
        RollingDrain(
            nodes, lambda node: Drain(cluster, node, machines, case.events, journal, watches.followed, counted=False)
        ).run(Deadline(120))
    case.close()


def _served(there: site.Site) -> dict[str, int]:
    trusted = ssl.create_default_context(cafile=str(there.config.ca_file))
    with urllib.request.urlopen(there.config.server_url + census.PATH, context=trusted, timeout=10) as answer:
        counts: dict[str, Any] = json.load(answer)
    return dict(counts["drainproof"])
