"""Starting and ending a simulated site: API server, nodes and controllers as processes, state in one directory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lab
from lab import pki, processes
from lab.client import Client
from lab.config import LabConfig
from lab.kinds import KUBEVIRT, VIRTUAL_MACHINE
from lab.lifecycle import daemons
from lab.machinery.objects import dig
from lab.simulated import population

PORT = 18600
MOST_NODES = 250
"""Each has an address of its own in one network of the loopback."""
READY_SECONDS = 120.0
QUIET_SECONDS_PER_MACHINE = 0.5
"""How long the controllers may take to see that a machine runs; many times what they need."""
LEAST_LOOK_SECONDS, LOOK_SECONDS_PER_MACHINE = 0.2, 0.002
"""Between two looks at all machines, which cost the more the more there are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site consists of."""

    directory: Path
    nodes: int
    machines: int
    api_port: int = PORT
    scale: float = 1.0
    """What recorded durations are multiplied with."""
    seed: int = 1
    parallel_migrations: int = 20
    """parallelMigrationsPerCluster; KubeVirt's default of 5 is raised by who runs large sites."""
    parallel_outbound: int = 5
    """parallelOutboundMigrationsPerNode."""

    @property
    def config(self) -> LabConfig:
        width = len(str(self.nodes))
        return LabConfig(
            name=f"simulated{self.api_port}", nodes=tuple(f"node-{at:0{width}d}" for at in range(1, self.nodes + 1)),
            api_port=self.api_port, state_dir=str(self.directory), run_dir=str(self.directory / "run"),
            node_cpu="64", node_memory="512Gi", node_grace_seconds=300.0,
        )


@dataclass(frozen=True, slots=True)
class Site:
    """A site that runs: its settings and its processes by role, as this process has started them."""

    config: LabConfig
    children: dict[str, subprocess.Popen[bytes]]

    @property
    def pids(self) -> dict[str, int]:
        return {role: child.pid for role, child in self.children.items()}

    def end(self) -> None:
        """End all of it, and see that it has ended."""
        processes.end(list(self.pids.values()))
        for child in self.children.values():
            child.wait()


@contextmanager
def running(plan: Plan) -> Iterator[Site]:
    """A site for the length of a block. Raises what `up` raises."""
    there = up(plan)
    try:
        yield there
    finally:
        there.end()


def up(plan: Plan) -> Site:
    """Start a site and wait until every machine is known to run.

    Raises ValueError for more nodes than there are addresses, LifecycleError when something did not start; whatever
    had been started is gone then.
    """
    if not 0 < plan.nodes <= MOST_NODES:
        raise ValueError(f"a simulated site has 1 to {MOST_NODES} nodes, not {plan.nodes}")
    config = plan.config
    config.run.mkdir(parents=True, exist_ok=True)
    config.save()
    pki.ensure(config)
    there = Site(config, {})
    try:
        asyncio.run(_start(plan, there))
    except BaseException:  # whatever ended the start, Ctrl-C included, nothing of it may stay; re-raised below
        there.end()
        raise
    return there


def down(directory: Path) -> None:
    """End the processes of the site whose state is in the directory; one that never started is no error."""
    config_file = directory / "lab.json"
    if config_file.exists():
        processes.end(processes.marked(LabConfig.load(config_file).name))


async def _start(plan: Plan, there: Site) -> None:
    """The machines are written between the API server and all who would act on them."""
    config = there.config
    _spawn(there, "api")
    await _ready("API server", lambda: daemons.api_healthy(config), there, "api")
    token = config.token_file.read_text().strip()
    async with Client(config.server_url, config.ca_file, token, "lab-simulated") as client:
        limits = {
            "parallelMigrationsPerCluster": plan.parallel_migrations,
            "parallelOutboundMigrationsPerNode": plan.parallel_outbound,
        }
        await client.patch(KUBEVIRT, "kubevirt", {"spec": {"configuration": {"migrations": limits}}}, "kubevirt")
        await population.settle(config, client, plan.machines)
        _spawn(there, "nodes", "--scale", str(plan.scale), "--seed", str(plan.seed))

        async def nodes_ready() -> bool:
            await asyncio.sleep(daemons.POLL_SECONDS)
            return await daemons.ready_nodes(client) == sorted(config.nodes)

        await _ready("nodes", nodes_ready, there, "nodes")
        _spawn(there, "controllers")

        async def all_ready() -> bool:
            await asyncio.sleep(LEAST_LOOK_SECONDS + LOOK_SECONDS_PER_MACHINE * plan.machines)
            machines, _ = await client.list(VIRTUAL_MACHINE, population.HOME)
            return sum(bool(dig(machine, "status", "ready")) for machine in machines) == plan.machines

        seconds = READY_SECONDS + QUIET_SECONDS_PER_MACHINE * plan.machines
        await _ready("virtual machines", all_ready, there, "controllers", seconds)


async def _ready(
    what: str, done: Callable[[], Awaitable[bool]], there: Site, role: str, seconds: float = READY_SECONDS
) -> None:
    await daemons.wait_for(what, done, list(there.pids.values()), there.config.logs(role), seconds)


def _spawn(there: Site, role: str, *more: str) -> None:
    config = there.config
    argv = [sys.executable, "-m", "lab.simulated", role, "--config", str(config.config_file), *more]
    extra = {"PYTHONPATH": str(Path(lab.__file__).parent.parent)}
    there.children[role] = processes.spawn(argv, config.name, config.logs(role), extra=extra)
