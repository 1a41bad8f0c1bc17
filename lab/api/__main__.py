"""Run the API server: python -m lab.api --config FILE."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from lab import pki
from lab.api import app, bootstrap, netns
from lab.api.audit import auditing
from lab.api.context import build_context
from lab.api.proxy import Dialer
from lab.config import FABRIC_ADDRESS, FABRIC_API_PORT, LabConfig

KEEPALIVE_SECONDS = 600.0
"""Longer than clients keep idle connections, so that the server is not the one to close them."""
STOP_SECONDS = 1.0
log = logging.getLogger("lab.api")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.api", description="The lab's Kubernetes API server.")
    parser.add_argument("--config", type=Path, required=True, help="the lab's lab.json")
    config = LabConfig.load(parser.parse_args().config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    pki.ensure(config)
    try:
        asyncio.run(serve(config))
    except OSError as error:
        sys.exit(f"lab.api: cannot serve {config.server_url}: {error}; free the port or choose another api_port")


async def serve(config: LabConfig, middlewares: Sequence[Middleware] = ()) -> None:
    """Serve until SIGTERM or SIGINT, every request through these. Raises OSError when a listener cannot be bound."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    fabric = config.namespace("fabric")
    async with Dialer(fabric) as dialer:
        token, ca = config.token_file.read_text().strip(), config.ca_file.read_text()
        context = build_context(dialer, token, f"127.0.0.1:{config.api_port}", ca)
        bootstrap.populate(context.resources)
        application = app.build(context)
        application.middlewares.extend((auditing(config.logs("audit")), *middlewares))
        runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS, shutdown_timeout=STOP_SECONDS,
            handler_cancellation=True,
        )
        await runner.setup()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(config.server_cert, config.server_key)
        local = netns.listening_socket("127.0.0.1", config.api_port)
        await web.SockSite(runner, local, ssl_context=tls).start()
        if netns.exists(fabric):
            inner = netns.create_socket(
                fabric, lambda: netns.listening_socket(FABRIC_ADDRESS, FABRIC_API_PORT)
            )
            await web.SockSite(runner, inner, ssl_context=tls).start()
        log.info("serving %s%s", config.server_url, f" and {config.fabric_server_url}" if netns.exists(fabric) else "")
        await stopping.wait()
        await runner.cleanup()


if __name__ == "__main__":
    main()
