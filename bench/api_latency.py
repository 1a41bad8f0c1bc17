"""How fast the lab's API answers while two hundred watches are open."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, laboratory
from lab.client import Client, Object
from lab.config import LabConfig
from lab.kinds import CONFIG_MAP
from lab.lifecycle.leftovers import DEFAULT_STATE

NAME = "bench"
PORT = ("--api-port", "16900")
WATCHES = 200
ROUNDS = 200


def measure() -> Iterator[Figure]:
    """Latency of reads and writes in milliseconds; every write is fanned out to all watches."""
    laboratory("up", NAME, *PORT)
    try:
        latencies = asyncio.run(_latencies(LabConfig.load(Path(DEFAULT_STATE) / NAME / "lab.json")))
    finally:
        laboratory("down", NAME)
    for verb, values in latencies.items():
        percentiles = statistics.quantiles(values, n=100)
        yield Figure(f"API {verb}, p50, {WATCHES} watches", 1000 * percentiles[49], "ms")
        yield Figure(f"API {verb}, p99, {WATCHES} watches", 1000 * percentiles[98], "ms")


async def _latencies(config: LabConfig) -> dict[str, list[float]]:
    token = config.token_file.read_text().strip()
    async with (
        Client(config.server_url, config.ca_file, token, "bench") as watcher,
        Client(config.server_url, config.ca_file, token, "bench") as client,
    ):
        _, version = await client.list(CONFIG_MAP, "default")
        watches = [asyncio.create_task(_drain(watcher, version)) for _ in range(WATCHES)]
        await asyncio.sleep(1)
        found: dict[str, list[float]] = {"create": [], "get": []}
        for number in range(ROUNDS):
            body: Object = {"metadata": {"name": f"bench-{number}"}, "data": {"x": "y" * 200}}
            begun = time.perf_counter()
            await client.create(CONFIG_MAP, body, "default")
            found["create"].append(time.perf_counter() - begun)
            await asyncio.sleep(0.02)
            begun = time.perf_counter()
            await client.get(CONFIG_MAP, f"bench-{number}", "default")
            found["get"].append(time.perf_counter() - begun)
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        return found


async def _drain(client: Client, version: str) -> None:
    async for _ in client.watch(CONFIG_MAP, version, "default"):
        pass
