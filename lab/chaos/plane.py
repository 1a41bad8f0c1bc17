"""Puts network experiments into force on every node's bridge, and takes them away again."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from lab.chaos.rules import DelayedFlow, Injection, delayed, script
from lab.net.namespaces import DIRECTORY

READY_SECONDS = 10.0
STOP_SECONDS = 5.0


class NodePlane:
    """The rules and the delayer of one node's network namespace."""

    def __init__(self, netns: str) -> None:
        self._netns = netns
        self._rules = ""
        self._flows: tuple[DelayedFlow, ...] = ()
        self._delayer: asyncio.subprocess.Process | None = None

    async def apply(self, rules: str, flows: tuple[DelayedFlow, ...]) -> None:
        """Have exactly these rules in force when this returns; raises OSError when they are not."""
        if flows and (flows != self._flows or not self._alive):
            await self._order(flows)
            self._flows = flows
        if rules != self._rules:
            await self._filter(rules)
            self._rules = rules
        if not flows:
            await self.stop()

    @property
    def _alive(self) -> bool:
        return self._delayer is not None and self._delayer.returncode is None

    async def stop(self) -> None:
        """End the delayer; the rules stay."""
        self._flows = ()
        delayer, self._delayer = self._delayer, None
        if delayer is None or delayer.stdin is None:
            return
        delayer.stdin.close()
        try:
            await asyncio.wait_for(delayer.wait(), STOP_SECONDS)
        except TimeoutError:
            delayer.kill()

    async def _order(self, flows: tuple[DelayedFlow, ...]) -> None:
        if not self._alive:
            self._delayer = await self._start(sys.executable, "-m", "lab.chaos.delayer")
        delayer = self._delayer
        assert delayer is not None
        assert delayer.stdin is not None
        assert delayer.stdout is not None
        delayer.stdin.write(json.dumps([astuple(flow) for flow in flows]).encode() + b"\n")
        answer = await asyncio.wait_for(delayer.stdout.readline(), READY_SECONDS)
        if answer != b"ready\n":
            raise OSError(f"the delayer of {self._netns} ended; the controllers' log has its last words")

    async def _filter(self, rules: str) -> None:
        process = await self._start("nft", "-f", "-", catch_errors=True)
        _, error = await process.communicate(rules.encode())
        if process.returncode:
            raise OSError(f"nft in {self._netns} failed: {error.decode().strip()}")

    async def _start(self, *argv: str, catch_errors: bool = False) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            "nsenter", f"--net={Path(DIRECTORY, self._netns)}", "--", *argv, stdin=pipe, stdout=pipe,
            stderr=pipe if catch_errors else None,
        )


class Plane:
    """All nodes of a lab."""

    def __init__(self, namespaces: Sequence[str]) -> None:
        self._nodes = [NodePlane(entry) for entry in namespaces]

    async def apply(self, injections: Sequence[Injection]) -> None:
        """Have exactly these experiments in force everywhere; raises OSError with the first node that refused."""
        rules, flows = script(injections), delayed(injections)
        results = await asyncio.gather(*(node.apply(rules, flows) for node in self._nodes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
