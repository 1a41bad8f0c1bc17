"""One QEMU's monitor: commands, and events stamped with this machine's monotonic clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, QMPClient, QMPError, Runstate

log = logging.getLogger(__name__)
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

CONNECT_SECONDS = 10.0
CONNECT_PERIOD_SECONDS = 0.01


class MonitorError(Exception):
    """QEMU refused a command, or its monitor is gone."""


@dataclass(frozen=True, slots=True)
class MonitorEvent:
    """An event of QEMU."""

    name: str
    monotonic_ns: int
    """When QEMU raised it, on CLOCK_MONOTONIC of this machine."""
    data: Mapping[str, Any] = field(default_factory=dict)


EventHandler = Callable[[MonitorEvent], None]


def to_monotonic(seconds: int, microseconds: int, wall_ns: int, monotonic_ns: int) -> int:
    """QEMU's wall-clock stamp on the monotonic clock, by a pair of readings of both clocks taken on receipt.

    The error is the wall clock's step or slew between the event and its receipt: microseconds, on one machine.
    """
    return monotonic_ns - (wall_ns - (seconds * 1_000_000_000 + microseconds * 1_000))


class Monitor:
    """A connection to one QMP socket. Handlers are called in the order of the events and must not block."""

    def __init__(self, name: str) -> None:
        self._client = QMPClient(name)
        self._listener = EventListener()
        self._handlers: list[EventHandler] = []
        self._pump: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        return self._client.runstate is Runstate.RUNNING

    def add_handler(self, handler: EventHandler) -> None:
        self._handlers.append(handler)

    def remove_handler(self, handler: EventHandler) -> None:
        if handler in self._handlers:
            self._handlers.remove(handler)

    async def connect(self, path: Path, alive: Callable[[], bool]) -> None:
        """Wait for the socket and greet; raises MonitorError when QEMU ends before, or does not answer in 10 s."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while not path.exists() or not await self._try(path):
            if not alive():
                raise MonitorError(f"QEMU ended before its monitor {path} answered; its log says why")
            if time.monotonic() > deadline:
                raise MonitorError(f"QEMU's monitor {path} did not answer within {CONNECT_SECONDS:.0f} s")
            await asyncio.sleep(CONNECT_PERIOD_SECONDS)
        self._client.register_listener(self._listener)
        self._pump = asyncio.create_task(self._dispatch())

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Run a command; underscores in argument names stand for QMP's hyphens. Raises MonitorError."""
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            return await self._client.execute(command, named or None)
        except QMPError as error:
            raise MonitorError(f"{command}: {error}") from error

    async def close(self) -> None:
        if self._pump:
            self._pump.cancel()
        # The other end may be gone already, which is what closing is for.
        with contextlib.suppress(QMPError, OSError, EOFError):
            await self._client.disconnect()

    async def _try(self, path: Path) -> bool:
        try:
            await self._client.connect(str(path))
        except (QMPError, OSError):
            return False
        return True

    async def _dispatch(self) -> None:
        async for message in self._listener:
            stamp: Any = message.get("timestamp", {})
            data: Any = message.get("data", {})
            event = MonitorEvent(
                name=str(message["event"]), data=data,
                monotonic_ns=to_monotonic(
                    stamp.get("seconds", 0), stamp.get("microseconds", 0), time.time_ns(), time.monotonic_ns()
                ),
            )
            for handler in list(self._handlers):
                handler(event)
