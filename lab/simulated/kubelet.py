"""The kubelets' port of a simulated site: logs of launchers, one listener per node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web

from lab.api.netns import listening_socket
from lab.config import AGENT_PORT, LabConfig
from lab.simulated.hypervisor import node_address


async def serve(config: LabConfig, logs: Mapping[str, str]) -> None:
    """Answer `containerLogs` from what launchers have told, by `namespace/name`, for ever.

    Raises OSError when a listener cannot be bound.
    """

    async def container_log(request: web.Request) -> web.Response:
        return web.Response(text=logs.get(f"{request.match_info['namespace']}/{request.match_info['pod']}", ""))

    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", container_log)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        for node in config.nodes:
            await web.SockSite(runner, listening_socket(node_address(config, node), AGENT_PORT)).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
