"""`python -m lab.redfish --config FILE`: the Redfish service of one lab, on the loopback."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click
from aiohttp import web

from lab import pki
from lab.config import REDFISH_USER, LabConfig
from lab.redfish.access import Access, make_password
from lab.redfish.service import Service
from lab.redfish.switch import NodePower

STOP_SECONDS = 1.0


@click.command(help=__doc__)
@click.option("--config", "config_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def main(config_file: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    config = LabConfig.load(config_file)
    pki.ensure(config)
    asyncio.run(serve(config))


async def serve(config: LabConfig) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the port cannot be had."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    access = Access(REDFISH_USER, make_password(config.redfish_password_file))
    async with listening(config, Service(config, access, NodePower(config)).application()):
        await stopping.wait()


@asynccontextmanager
async def listening(config: LabConfig, application: web.Application) -> AsyncIterator[None]:
    """The application on the lab's Redfish port, with the lab's certificate, for the length of a block."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=STOP_SECONDS)
    await runner.setup()
    try:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(config.server_cert, config.server_key)
        await web.TCPSite(runner, "127.0.0.1", config.redfish_port, ssl_context=tls).start()
        yield
    finally:
        await runner.cleanup()


if __name__ == "__main__":
    main()
