"""What every storage server of the lab is: a few processes that can be paused, and one that a successor can replace."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

from lab.config import STORAGE_ADDRESS, LabConfig
from lab.net import namespaces
from lab.storage.backend import StorageError
from lab.storage.room import ROLE, Room

POLL_SECONDS = 0.1
START_SECONDS = 60.0


class Server(Protocol):
    """The server of one storage class."""

    @property
    def room(self) -> Room:
        """Where its processes are."""

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """Its processes in groups; it serves as long as one of each group runs."""

    async def start(self) -> None:
        """Start it for the first time, and return when it serves; raises StorageError."""

    async def fail_over(self) -> None:
        """Kill what serves, and return when a successor serves at the same address; raises StorageError."""


async def until(what: str, done: Callable[[], Awaitable[bool]], room: Room, seconds: float = START_SECONDS) -> None:
    """Wait until `done`; raises StorageError when the time is over."""
    try:
        async with asyncio.timeout(seconds):
            while not await done():
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise StorageError(f"{what} was not ready within {seconds:.0f} s (log: {room.log})") from None


async def listens(config: LabConfig, port: int) -> bool:
    """Whether a storage server accepts connections at the storage address."""
    return await asyncio.to_thread(namespaces.inside, config.namespace(ROLE), lambda: _accepts(port))


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((STORAGE_ADDRESS, port)) == 0
