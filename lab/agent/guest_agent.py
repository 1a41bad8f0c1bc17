"""The guest agent's channel: commands into the guest over virtio-serial, one at a time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPLY_SECONDS = 5.0
EXEC_SECONDS = 120.0
EXEC_POLL_SECONDS = 0.05
SENTINEL = b"\xff"


class GuestAgentError(Exception):
    """The guest agent is not there, does not answer, or refused a command."""


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in the guest gave back."""

    exitcode: int
    stdout: str
    stderr: str


class GuestAgent:
    """The agent behind one Unix socket; a connection is made when it is needed and kept until it fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, command: str, *, timeout: float = REPLY_SECONDS, **arguments: Any) -> Any:
        """Run a command of the agent and return its value; raises GuestAgentError."""
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        async with self._lock:
            try:
                async with asyncio.timeout(timeout):
                    reply = await self._exchange(request)
            except (OSError, TimeoutError, EOFError, ValueError) as error:
                await self._drop()
                reason = f"no answer within {timeout:.0f} s" if isinstance(error, TimeoutError) else str(error)
                raise GuestAgentError(f"guest agent, {command}: {reason}") from error
        if "error" in reply:
            raise GuestAgentError(f"guest agent, {command}: {reply['error'].get('desc', reply['error'])}")
        return reply.get("return")

    async def execute(self, argv: list[str], stdin: str = "", timeout: float = EXEC_SECONDS) -> ExecResult:
        """Run a program in the guest and wait for its end; raises GuestAgentError."""
        extra: dict[str, Any] = {"input_data": base64.b64encode(stdin.encode()).decode()} if stdin else {}
        started = await self.call("guest-exec", path=argv[0], arg=argv[1:], capture_output=True, **extra)
        deadline = time.monotonic() + timeout
        while True:
            status = await self.call("guest-exec-status", pid=started["pid"])
            if status["exited"]:
                # A program killed by a signal has no exit code; shells write 128 plus the signal.
                code = status.get("exitcode", 128 + status.get("signal", 0))
                return ExecResult(code, _text(status.get("out-data")), _text(status.get("err-data")))
            if time.monotonic() > deadline:
                raise GuestAgentError(f"{argv[0]} in the guest did not end within {timeout:.0f} s")
            await asyncio.sleep(EXEC_POLL_SECONDS)

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._path))
            await self._synchronise(*self._streams)
        reader, writer = self._streams
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        return await _reply(reader)

    async def _synchronise(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Skip what an earlier connection left in the channel (QEMU's guest-sync-delimited)."""
        number = random.randrange(1 << 31)
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        writer.write(SENTINEL + json.dumps(request).encode() + b"\n")
        await writer.drain()
        while True:
            await reader.readuntil(SENTINEL)
            with contextlib.suppress(ValueError):
                if (await _reply(reader)).get("return") == number:
                    return

    async def _drop(self) -> None:
        if self._streams:
            writer = self._streams[1]
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _reply(reader: asyncio.StreamReader) -> dict[str, Any]:
    line = await reader.readline()
    if not line:
        raise EOFError("the channel was closed")
    reply: dict[str, Any] = json.loads(line.lstrip(SENTINEL))
    return reply


def _text(data: str | None) -> str:
    return base64.b64decode(data).decode(errors="replace") if data else ""
