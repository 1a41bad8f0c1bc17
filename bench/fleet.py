"""`python -m bench.fleet`: what it costs the harness to drain a site of thousands of machines, and how that grows.

The site is simulated: the lab's API server and controllers, nodes without guests, machines that take recorded times,
scaled, to migrate. It grows as sites do: with more nodes, each with as many machines as before. The harness is what
certifies (drains, watches, the record), in a process of its own. Before a run counts, its record has to show that every
machine was moved by one live migration per drain of its node, and that none was lost or started anew.
"""

from __future__ import annotations

import json
import math
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psutil

from bench import fleet_verdict
from bench.figure import PROJECT, Figure
from lab.simulated import census, site
from lab.simulated.population import HOME

PER_NODE = 50
AT_ONCE = 2
SCALE = 0.1
"""Of the recorded durations: shorter migrations are more work per second, for the harness too."""
SHORT_SIZES, SHORT_SECONDS = (250, 500), 25.0
SIZES = (500, 1000, 2500, 5000)
NO_LIMIT = 1e6
SHOWN = 10
"""So many of the reasons against a run."""
MOST_PER_NODE = 100
"""Of the 110 pods that a node takes: launchers that have ended are there for a while yet."""
AGENT = "drainproof"
"""How the harness's client names itself."""


@dataclass(frozen=True)
class Run:
    """One rolling drain of a whole site, and what it cost."""

    machines: int
    nodes: int
    moves: int
    """Migrations: somebody whose node is drained can arrive where the next drain comes to."""
    harness: dict[str, Any]
    """As `bench.fleet_drain` prints it."""
    served: int
    """The harness's requests as the API server counted them."""
    lab_cpu_seconds: dict[str, float]
    reasons: Sequence[str]
    """What the record has against it; without any, its figures are those of a drain that went as it should."""

    @property
    def requests(self) -> int:
        return sum(self.harness["requests"].values())

    @property
    def cores(self) -> float:
        return float(self.harness["cpu_seconds"] / self.harness["wall_seconds"])


def drain(machines: int, at_once: int, scale: float, seconds: float = NO_LIMIT) -> Run:
    """Build a site, drain its nodes, all of them if the seconds suffice, tear it down.

    Raises ValueError when the other nodes have no room for those that are drained at once, LifecycleError when the site
    does not start, and CalledProcessError when the harness ends with an error.
    """
    with tempfile.TemporaryDirectory(prefix="drainproof-fleet-") as directory:
        nodes = math.ceil(machines / PER_NODE)
        plan = site.Plan(Path(directory), nodes, machines, _free_port(), scale)
        if machines > MOST_PER_NODE * (nodes - at_once):
            raise ValueError(f"{nodes} nodes cannot do without {at_once} of them with {machines} machines")
        with site.running(plan) as there:
            before = _lab_cpu(there)
            harness = _harness(there, Path(directory) / "record", at_once, seconds)
            lab = {role: used - before[role] for role, used in _lab_cpu(there).items()}
            served = _served(there)
        told = fleet_verdict.read(fleet_verdict.lines(Path(directory) / "record" / "case" / "events.jsonl"))
    reasons = fleet_verdict.reasons(told, machines, harness["nodes"])
    return Run(machines, nodes, told.due.total(), harness, served, lab, reasons)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _harness(there: site.Site, record: Path, at_once: int, seconds: float) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "bench.fleet_drain", "--kubeconfig", str(there.config.kubeconfig), "--record",
        str(record), "--namespace", HOME, "--at-once", str(at_once), "--seconds", str(seconds),
    ]
    done = subprocess.run(command, cwd=PROJECT, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _lab_cpu(there: site.Site) -> dict[str, float]:
    times = {role: psutil.Process(pid).cpu_times() for role, pid in there.pids.items()}
    return {role: used.user + used.system for role, used in times.items()}


def _served(there: site.Site) -> int:
    trusted = ssl.create_default_context(cafile=str(there.config.ca_file))
    with urllib.request.urlopen(there.config.server_url + census.PATH, context=trusted) as answer:
        counts: dict[str, dict[str, int]] = json.load(answer)
    return sum(counts.get(AGENT, {}).values())


COLUMNS: tuple[tuple[str, Callable[[Run], float], str], ...] = (
    ("VMs", lambda run: run.machines, "d"),
    ("nodes", lambda run: run.nodes, "d"),
    ("drained", lambda run: run.harness["nodes"], "d"),
    ("moves", lambda run: run.moves, "d"),
    ("wall s", lambda run: run.harness["wall_seconds"], ".0f"),
    ("CPU s", lambda run: run.harness["cpu_seconds"], ".1f"),
    ("cores", lambda run: run.cores, ".2f"),
    ("peak MiB", lambda run: run.harness["peak_mebibytes"], ".0f"),
    ("requests", lambda run: run.requests, "d"),
    ("served", lambda run: run.served, "d"),
    ("req/move", lambda run: run.requests / run.moves, ".2f"),
    ("CPU ms/move", lambda run: 1000 * run.harness["cpu_seconds"] / run.moves, ".1f"),
    ("record MiB", lambda run: run.harness["record_bytes"] / 2**20, ".1f"),
    ("lab CPU s", lambda run: sum(run.lab_cpu_seconds.values()), ".0f"),
)
GROWING = ("wall s", "CPU s", "requests", "record MiB", "lab CPU s")
"""What a drain costs: told per move, so that sites of which only some nodes were drained can be compared."""


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The b in value = a * size ** b, fitted to the logarithms: 1 is linear, 2 is quadratic."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(one) for one in values]).slope


def growth(runs: Sequence[Run], column: str) -> float:
    """How the cost of draining all of a site grows with its machines: as their number, times the cost of a move."""
    read = next(read for name, read, _ in COLUMNS if name == column)
    return exponent([run.machines for run in runs], [run.machines * read(run) / run.moves for run in runs])


def memory_growth(runs: Sequence[Run]) -> float:
    """MiB of peak memory for each machine more."""
    sizes, peaks = [run.machines for run in runs], [float(run.harness["peak_mebibytes"]) for run in runs]
    return statistics.linear_regression(sizes, peaks).slope


def measure() -> Iterator[Figure]:
    """The figures of two small sites, of which as many nodes are drained as a short time allows."""
    runs = [drain(machines, AT_ONCE, SCALE, SHORT_SECONDS) for machines in SHORT_SIZES]
    last = runs[-1]
    if broken := [reason for run in runs for reason in run.reasons]:
        raise RuntimeError(f"a rolling drain went wrong: {broken[:SHOWN]}")
    name = f"rolling drain of {last.machines} VMs"
    yield Figure(f"{name}: requests per move", last.requests / last.moves, "", "under 40")
    yield Figure(f"{name}: harness CPU", last.cores, "", "under one core")
    yield Figure(f"{name}: harness memory", last.harness["peak_mebibytes"], "MiB", "under 1024 with 5000 VMs")
    yield Figure(f"growth of CPU from {runs[0].machines} VMs", growth(runs, "CPU s"), "", "1 is linear")
    yield Figure(f"growth of requests from {runs[0].machines} VMs", growth(runs, "requests"), "", "1 is linear")


@click.command(help=__doc__)
@click.option("--size", "sizes", type=int, multiple=True, default=SIZES, show_default=True, help="Virtual machines.")
@click.option("--at-once", default=AT_ONCE, show_default=True, help="Nodes that are drained at the same time.")
@click.option("--scale", default=SCALE, show_default=True, help="What recorded durations are multiplied with.")
@click.option("--seconds", default=NO_LIMIT, help="No other node is begun after so long; by default all are.")
def main(sizes: Sequence[int], at_once: int, scale: float, seconds: float) -> None:
    sys.exit(_print(sizes, at_once, scale, seconds))


def _print(sizes: Sequence[int], at_once: int, scale: float, seconds: float) -> int:
    """The table; 1 when a record shows something else than a drain that went as it should."""
    click.echo("".join(f"{name:>12}" for name, _, _ in COLUMNS))
    runs = []
    for machines in sizes:
        runs.append(drain(machines, at_once, scale, seconds))
        click.echo("".join(f"{read(runs[-1]):>12{form}}" for _, read, form in COLUMNS))
        click.echo(json.dumps(runs[-1].harness["requests"]))
        for reason in runs[-1].reasons[:SHOWN]:
            click.echo(f"broken: {reason}")
    if len(runs) > 1:
        grown = ", ".join(f"{column} {growth(runs, column):.2f}" for column in GROWING)
        click.echo(f"growth with the number of VMs (1 is linear): {grown}")
        click.echo(f"memory: {1024 * memory_growth(runs):.0f} KiB for each VM more")
    return int(any(run.reasons for run in runs))


if __name__ == "__main__":
    main()
