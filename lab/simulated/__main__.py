"""`python -m lab.simulated up|down|api|nodes`: a site of simulated nodes behind the lab's own control plane."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from lab.api.__main__ import serve
from lab.client import Client
from lab.config import LabConfig
from lab.controllers.__main__ import controllers
from lab.controllers.runtime import run
from lab.kinds import NODE, POD, VIRTUAL_MACHINE_INSTANCE
from lab.lifecycle.errors import LifecycleError
from lab.machinery.cluster import Cluster
from lab.redfish.client import FenceAgent
from lab.simulated import census, kubelet, site
from lab.simulated.durations import Durations
from lab.simulated.hypervisor import Hypervisor, keep_nodes

IN_NETWORK_NAMESPACES = ("balancer", "network-chaos")

_CONFIG = click.option(
    "--config", "config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True
)
_DIRECTORY = click.option("--directory", type=click.Path(file_okay=False, path_type=Path), required=True)


@click.group(help=__doc__)
def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(name)s %(message)s", datefmt="%H:%M:%S")


@main.command()
@_DIRECTORY
@click.option("--nodes", default=100, show_default=True)
@click.option("--machines", default=5000, show_default=True, help="Virtual machines that run when it is up.")
@click.option("--api-port", default=site.PORT, show_default=True)
@click.option("--scale", default=1.0, show_default=True, help="What recorded durations are multiplied with.")
@click.option("--seed", default=1, show_default=True)
def up(directory: Path, nodes: int, machines: int, api_port: int, scale: float, seed: int) -> None:
    """Start a site with its state in a directory, and leave it running; prints the kubeconfig's path."""
    try:
        started = site.up(site.Plan(directory.absolute(), nodes, machines, api_port, scale, seed))
    except LifecycleError as error:
        sys.exit(str(error))
    click.echo(started.config.kubeconfig)


@main.command()
@_DIRECTORY
def down(directory: Path) -> None:
    """End the site whose state is in the directory; its logs stay there."""
    site.down(directory.absolute())


@main.command()
@_CONFIG
def api(config_file: Path) -> None:
    """The lab's API server, counting who asks for what."""
    asyncio.run(serve(LabConfig.load(config_file), [census.counting()]))


@main.command()
@_CONFIG
@click.option("--scale", type=float, required=True)
@click.option("--seed", type=int, required=True)
def nodes(config_file: Path, scale: float, seed: int) -> None:
    """The simulated nodes, until SIGTERM or SIGINT."""
    asyncio.run(_nodes(LabConfig.load(config_file), Durations(seed, scale)))


@main.command("controllers")
@_CONFIG
def controllers_(config_file: Path) -> None:
    """The lab's controllers but for those whose work is done in network namespaces, until SIGTERM or SIGINT."""
    asyncio.run(_controllers(LabConfig.load(config_file)))


async def _controllers(config: LabConfig) -> None:
    async with _client(config, "lab-controllers") as client, FenceAgent(config) as agent:
        own = [each for each in controllers(config, agent) if each.name not in IN_NETWORK_NAMESPACES]
        await _until_told(run(config, client, own))


async def _nodes(config: LabConfig, durations: Durations) -> None:
    hypervisor = Hypervisor(config, durations)

    async def kept(cluster: Cluster) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_nodes(config, cluster))
            tasks.create_task(kubelet.serve(config, hypervisor.logs))

    async with _client(config, "lab-nodes") as client:
        await _until_told(run(config, client, hypervisor.controllers(), kept, (NODE, POD, VIRTUAL_MACHINE_INSTANCE)))


def _client(config: LabConfig, name: str) -> Client:
    return Client(config.server_url, config.ca_file, config.token_file.read_text().strip(), name)


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM or SIGINT, or until the work ends by itself, which is an error of it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    working, waiting = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        working.result()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    main()
