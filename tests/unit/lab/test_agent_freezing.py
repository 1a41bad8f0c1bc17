"""Freezing a guest for a snapshot: always thawed again, by whom it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from lab.agent import freezing
from lab.agent.context import Node
from lab.agent.domain import Domain
from lab.agent.guest_agent import GuestAgentError
from lab.agent.launcher import Launcher
from lab.client import Object


class Guest:
    """A guest with an agent: stands in for its node, its launcher and its domain at once."""

    def __init__(self) -> None:
        self.frozen = False
        self.refuses = False
        self.running = True
        self.calls: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.vmi: Object = {"status": {}}
        self.guest_agent = self
        self.spec = cast(Any, type("Spec", (), {"key": "demo/vm"}))

    async def call(self, command: str, *, timeout: float) -> Any:
        del timeout
        self.calls.append(command)
        if command == "guest-fsfreeze-status":
            return "frozen" if self.frozen else "thawed"
        self.frozen = command == "guest-fsfreeze-freeze"
        if self.frozen and self.refuses:
            raise GuestAgentError("half of the file systems are frozen")
        return 1

    def start(self, name: str, task: asyncio.Task[None]) -> None:
        self.tasks[name] = task

    async def change(self, vmi: Object, mutate: Callable[[Object], None]) -> Object:
        mutate(vmi)
        return vmi

    async def freeze(self, longest: str) -> None:
        await freezing.freeze(cast(Node, self), cast(Launcher, self), cast(Domain, self), self.vmi, longest)

    async def thaw(self) -> None:
        await freezing.thaw(cast(Node, self), cast(Domain, self), self.vmi)


def test_a_freeze_is_shown_and_a_second_one_changes_nothing() -> None:
    async def steps() -> None:
        guest = Guest()
        await guest.freeze("5m0s")
        assert (guest.frozen, guest.vmi["status"]) == (True, {"fsFreezeStatus": "frozen"})
        await guest.freeze("5m0s")
        assert guest.calls.count("guest-fsfreeze-freeze") == 1
        await guest.thaw()
        assert (guest.frozen, guest.vmi["status"]) == (False, {})

    asyncio.run(steps())


def test_a_guest_that_nobody_thaws_is_thawed_in_time() -> None:
    async def steps() -> None:
        guest = Guest()
        await guest.freeze("20ms")
        await guest.tasks["thaw"]
        assert (guest.frozen, guest.vmi["status"]) == (False, {})

    asyncio.run(steps())


def test_a_freeze_that_failed_half_way_is_undone() -> None:
    async def steps() -> None:
        guest = Guest()
        guest.refuses = True
        with pytest.raises(GuestAgentError):
            await guest.freeze("5m0s")
        await guest.tasks["thaw"]
        assert (guest.frozen, guest.vmi["status"]) == (False, {})

    asyncio.run(steps())


def test_a_guest_that_came_frozen_gets_its_time_here() -> None:
    async def steps() -> None:
        guest = Guest()
        guest.vmi["status"]["fsFreezeStatus"] = "frozen"
        node, launcher, domain = cast(Node, guest), cast(Launcher, guest), cast(Domain, guest)
        freezing.guard(node, launcher, domain, guest.vmi)
        assert not guest.tasks["thaw"].done()
        first = guest.tasks["thaw"]
        freezing.guard(node, launcher, domain, guest.vmi)
        assert guest.tasks["thaw"] is first
        first.cancel()

    asyncio.run(steps())
