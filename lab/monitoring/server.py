"""Serves the controllers' metrics inside the lab's network."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lab.api import netns
from lab.config import CONTROLLER_METRICS_PORT, FABRIC_ADDRESS
from lab.machinery.cluster import Cluster
from lab.monitoring import kube_state, virt_controller

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
RETRY_SECONDS = 1.0


class ClusterCollector(Collector):
    """Builds every family from the cluster's cached objects at the moment of the scrape."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read the cluster."""
        return []

    def collect(self) -> Iterator[Metric]:
        yield from virt_controller.collect(self._cluster)
        yield from kube_state.collect(self._cluster)


async def serve(cluster: Cluster, registry: CollectorRegistry) -> None:
    """Serve /metrics on the fabric's address for ever; waits until that network namespace is there."""
    registry.register(ClusterCollector(cluster))

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    fabric = cluster.config.namespace("fabric")
    while not netns.exists(fabric):
        await asyncio.sleep(RETRY_SECONDS)
    listener = netns.create_socket(
        fabric, lambda: netns.listening_socket(FABRIC_ADDRESS, CONTROLLER_METRICS_PORT)
    )
    await web.SockSite(runner, listener).start()
    log.info("metrics on http://%s:%d/metrics", FABRIC_ADDRESS, CONTROLLER_METRICS_PORT)
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
