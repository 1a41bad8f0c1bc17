"""`python -m lab.controllers --config FILE`: every controller of one lab, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, disable_created_metrics

from lab.client import Client
from lab.config import LabConfig
from lab.controllers import (
    balancer,
    chaos,
    disruption,
    endpoints,
    evacuation,
    eviction,
    expiry,
    garbage,
    health_check,
    jobs,
    kubevirt,
    migration,
    namespaces,
    node_ports,
    nodes,
    remediation,
    scheduler,
    services,
    vm,
    vm_clone,
    vm_restore,
    vm_snapshot,
    vm_snapshot_content,
    vmi,
    volume_snapshot_contents,
    volume_snapshots,
    volumes,
)
from lab.controllers.runtime import Controller, run
from lab.machinery.cluster import Cluster
from lab.monitoring import discovery
from lab.monitoring.server import serve
from lab.monitoring.transitions import Transitions
from lab.redfish.client import FenceAgent

USER_AGENT = "lab-controllers"


def controllers(config: LabConfig, fence_agent: FenceAgent) -> list[Controller]:
    """Every controller of a lab."""
    return [
        scheduler.controller(), volumes.CLAIMS, volumes.VOLUMES, vm.CONTROLLER, vmi.CONTROLLER, migration.CONTROLLER,
        evacuation.CONTROLLER, nodes.controller(config.node_grace_seconds), eviction.CONTROLLER, services.CONTROLLER,
        endpoints.CONTROLLER, health_check.CONTROLLER, remediation.controller(fence_agent),
        balancer.controller(config.namespace("lb")), node_ports.controller(config), disruption.CONTROLLER,
        garbage.CONTROLLER, namespaces.CONTROLLER, expiry.CONTROLLER, jobs.CONTROLLER, kubevirt.CONTROLLER,
        *chaos.controllers(config), volume_snapshots.CONTROLLER, volume_snapshot_contents.controller(),
        vm_snapshot.CONTROLLER, vm_snapshot_content.CONTROLLER, vm_restore.CONTROLLER, vm_clone.CONTROLLER,
    ]


async def amain(config: LabConfig) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()

    async def metrics(cluster: Cluster) -> None:
        await serve(cluster, registry)

    token = config.token_file.read_text().strip()
    async with Client(config.server_url, config.ca_file, token, USER_AGENT) as client, FenceAgent(config) as agent:
        own = controllers(config, agent)
        every = [*own, discovery.controller(config), *Transitions(registry).controllers()]
        work = asyncio.create_task(run(config, client, every, metrics))
        waiting = asyncio.create_task(stop.wait())
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if work.done():
            work.result()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


@click.command(help=__doc__)
@click.option("--config", "config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def main(config_file: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s.%(msecs)03d %(name)s %(message)s", datefmt="%H:%M:%S")
    asyncio.run(amain(LabConfig.load(config_file)))


if __name__ == "__main__":
    main()
