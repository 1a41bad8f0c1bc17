"""`python -m lab.agent --config FILE --node NAME`: run one node's agent inside the node's network namespace."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import click

from lab.agent import adoption, domain, http, pods, vmis
from lab.agent import node as node_object
from lab.agent.context import Node
from lab.client import ApiError, Client, ConflictError, Informer, Object
from lab.config import LabConfig
from lab.kinds import NODE, POD, VIRTUAL_MACHINE_INSTANCE, Kind
from lab.machinery.cluster import Cluster
from lab.machinery.events import Recorder
from lab.machinery.objects import dig, key, name, namespace
from lab.machinery.queue import WorkQueue

log = logging.getLogger(__name__)

Reconcile = Callable[[Node, str], Awaitable[float | None]]


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--node", "node_name", required=True)
def main(config_file: Path, node_name: str) -> None:
    """Run the agent of one node until it is told to end; its guests go on."""
    os.nice(-domain.NICE)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(run(LabConfig.load(config_file), node_name))


async def run(config: LabConfig, node_name: str) -> None:
    """Register the node, take over what runs, and keep everything current until SIGTERM or SIGINT."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    token = config.token_file.read_text().strip()
    async with Client(config.fabric_server_url, config.ca_file, token, f"lab-agent/{node_name}") as client:
        work = asyncio.create_task(_work(config, node_name, client))
        ended = asyncio.create_task(over.wait())
        await asyncio.wait((work, ended), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
        work.cancel()
        await asyncio.wait((work,), timeout=2)


async def _work(config: LabConfig, node_name: str, client: Client) -> None:
    informers: dict[Kind, Informer] = {
        POD: Informer(client, POD, field_selector=f"spec.nodeName={node_name}"),
        VIRTUAL_MACHINE_INSTANCE: Informer(client, VIRTUAL_MACHINE_INSTANCE),
        NODE: Informer(client, NODE, field_selector=f"metadata.name={node_name}"),
    }
    recorder = Recorder(client)
    node = Node(config, node_name, Cluster(client, config, informers, recorder))
    _feed(node, informers)
    node.directory.mkdir(parents=True, exist_ok=True)
    await node_object.register(node)
    async with asyncio.TaskGroup() as tasks:
        for informer in informers.values():
            tasks.create_task(informer.run())
        tasks.create_task(node_object.keep_lease(node))
        tasks.create_task(recorder.run())
        for informer in informers.values():
            await informer.synced.wait()
        await adoption.adopt(node)
        runner = await http.serve(node)
        try:
            tasks.create_task(node_object.keep_status(node))
            tasks.create_task(_loop(node, node.pods, pods.reconcile))
            tasks.create_task(_loop(node, node.vmis, vmis.reconcile))
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def _feed(node: Node, informers: dict[Kind, Informer]) -> None:
    """Changes of a pod also concern its VMI, and the other way round for what runs here."""

    def pod_changed(event: str, pod: Object) -> None:
        if event == "DELETED":
            node.cluster.seen_deleted(POD, pod)
        node.pods.add(key(pod))
        owner = dig(pod, "metadata", "ownerReferences", 0, "name")
        if owner:
            node.vmis.add(f"{namespace(pod)}/{owner}")

    def vmi_changed(event: str, vmi: Object) -> None:
        if event == "DELETED":
            node.cluster.seen_deleted(VIRTUAL_MACHINE_INSTANCE, vmi)
        node.vmis.add(f"{namespace(vmi)}/{name(vmi)}")

    informers[POD].add_handler(pod_changed)
    informers[VIRTUAL_MACHINE_INSTANCE].add_handler(vmi_changed)


async def _loop(node: Node, queue: WorkQueue, reconcile: Reconcile) -> None:
    """Work on one key after another; a key whose work failed is tried again, later each time."""
    while True:
        entry = await queue.next()
        try:
            again = await reconcile(node, entry)
        except ConflictError:
            queue.retry(entry)
        except (aiohttp.ClientError, ApiError, OSError) as error:
            log.info("%s: %s; again in %.2f s", entry, error, queue.retry(entry))
        except Exception:  # one object that breaks its reconcile must not stop the node; it is logged and retried
            log.exception("%s failed; again in %.2f s", entry, queue.retry(entry))
        else:
            queue.forget(entry)
            if again is not None:
                queue.add_after(entry, again)


if __name__ == "__main__":
    main()
