"""`python -m bench.fleet_drain`: the harness drains a whole site, as it does when it certifies, and measures itself.

Nothing else runs in this process: its processor time, its memory and its requests are the harness's own.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from drainproof.api import INSTANCES, NODES, Cluster
from drainproof.journal import Journal
from drainproof.node import takes_machines
from drainproof.record import Case
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline
from fixtures.watching import watching
from scenarios.drain import Drain
from scenarios.rolling_drain import RollingDrain

LAST_SECONDS = 900.0
"""How long the nodes that were begun last may take."""
NODE_LABEL = "kubevirt.io/nodeName"


@click.command()
@click.option("--kubeconfig", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--record", type=click.Path(path_type=Path), required=True)
@click.option("--namespace", required=True)
@click.option("--at-once", type=int, required=True)
@click.option("--seconds", type=float, required=True, help="No other node is begun after so long.")
def main(kubeconfig: Path, record: Path, namespace: str, at_once: int, seconds: float) -> None:
    """Drain the nodes that take machines, one after another; print what that cost as one JSON object."""
    cluster = Cluster.connect(kubeconfig)
    before, begun = _processor_seconds(), time.monotonic()
    drained = _drain(cluster, namespace, Case(record / "case"), Journal.of(record), at_once, Deadline(seconds))
    json.dump({
        "nodes": drained,
        "wall_seconds": time.monotonic() - begun, "cpu_seconds": _processor_seconds() - before,
        "peak_mebibytes": _peak_mebibytes(),
        "record_bytes": (record / "case" / "events.jsonl").stat().st_size,
        "requests": {f"{verb} {what}": count for (verb, what), count in cluster.requests.by_resource().items()},
    }, sys.stdout)


def _drain(cluster: Cluster, namespace: str, case: Case, journal: Journal, at_once: int, budget: Deadline) -> int:
    """Drain nodes as long as the budget lasts; how many there were."""
    nodes = sorted(node["metadata"]["name"] for node in cluster.items(NODES) if takes_machines(node))
    begun: list[str] = []
    with watching(cluster, namespace, case.events, _nobody) as watches:

        def drain_of(node: str) -> Drain:
            begun.append(node)
            machines = _machines_on(cluster, namespace, node)
            return Drain(cluster, node, machines, case.events, journal, watches.followed, counted=False)

        in_time = takewhile(lambda _: not budget.expired, nodes)
        RollingDrain(in_time, drain_of, at_once).run(Deadline(budget.seconds + LAST_SECONDS))
    case.close()
    return len(begun)


def _machines_on(cluster: Cluster, namespace: str, node: str) -> Sequence[VirtualMachine]:
    found = cluster.items(INSTANCES, namespace, labels=f"{NODE_LABEL}={node}")
    return [VirtualMachine(cluster, vmi["metadata"]["name"], namespace) for vmi in found]


def _nobody(kind: str, facts: dict[str, Any]) -> None:
    """Nobody looks at the progress."""


def _peak_mebibytes() -> float:
    """The most memory that this process has held; getrusage also counts what its parent held when it started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
