"""One running QEMU: started or taken over, watched until it ends, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

from lab import processes
from lab.agent import network
from lab.agent.argv import DomainFiles
from lab.agent.domain_spec import DomainSpec
from lab.agent.guest_agent import GuestAgent
from lab.agent.qmp import Monitor, MonitorError, MonitorEvent

log = logging.getLogger(__name__)

NICE = 10
"""How much less urgent a guest is than its agent: a migration's switch-over waits for the agent's answer."""


class End(StrEnum):
    """Why a domain is over."""

    SHUTDOWN = "shutdown"
    """The guest powered itself off, or followed the power button."""
    KILLED = "killed"
    """This agent ended it on request."""
    CRASHED = "crashed"
    """Nobody asked for it."""


class Domain:
    """A QEMU process with its monitor and its guest agent's channel."""

    def __init__(self, spec: DomainSpec, files: DomainFiles, tap: str) -> None:
        self.spec = spec
        self.files = files
        self.tap = tap
        self.monitor = Monitor(spec.domain)
        self.guest_agent = GuestAgent(files.guest_agent)
        self.agent_connected = False
        self.pid = 0
        self.end: End | None = None
        self.ended = asyncio.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._asked_to_end = False
        self._guest_shutdown = False
        self._on_change: Callable[[], None] = lambda: None
        self._finish: asyncio.Task[None] | None = None
        self.monitor.add_handler(self._note)

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called when the guest agent appears or the domain ends; it must not block."""
        self._on_change = call

    @property
    def running(self) -> bool:
        return self.pid > 0 and not self.ended.is_set()

    async def start(
        self, argv: list[str], lab: str, node: str, log_file: Path, pod_uid: str, locks: Sequence[int] = ()
    ) -> None:
        """Start QEMU and connect to its monitor; raises MonitorError when it does not come up.

        It inherits the locks of its volumes: they end with it.
        """
        shutil.rmtree(self.files.directory, ignore_errors=True)
        self.files.directory.mkdir(parents=True)
        self.files.serial_log.parent.mkdir(parents=True, exist_ok=True)
        # Starting a process and a netlink exchange take milliseconds that a migration's switch-over must not wait for.
        await asyncio.to_thread(network.create_tap, self.tap)
        self._process = await asyncio.to_thread(
            processes.spawn, ["nice", "-n", str(NICE), *argv], lab, log_file, extra={processes.NODE_MARK: node},
            inherits=locks,
        )
        self.pid = self._process.pid
        self.files.record.write_text(json.dumps({"pid": self.pid, "vmi": self.spec.uid, "pod": pod_uid}))
        await self._attach()

    async def adopt(self, pid: int) -> None:
        """Take over a QEMU that an earlier agent started; raises MonitorError when it does not answer."""
        self.pid = pid
        await self._attach()

    async def power_off(self, grace_seconds: float) -> None:
        """Press the guest's power button, and end QEMU when the guest has not shut down in time."""
        self._asked_to_end = True
        if grace_seconds > 0:
            with contextlib.suppress(MonitorError):
                await self.monitor.execute("system_powerdown")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self.ended.wait()
        await self.kill()

    async def kill(self) -> None:
        """End QEMU at once and wait until it is gone."""
        self._asked_to_end = True
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            await self.ended.wait()

    def _note(self, event: MonitorEvent) -> None:
        if event.name == "VSERPORT_CHANGE":
            self.agent_connected = bool(event.data.get("open"))
            self._on_change()
        elif event.name == "SHUTDOWN":
            self._guest_shutdown = bool(event.data.get("guest"))

    async def _attach(self) -> None:
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError as error:
            raise MonitorError(f"QEMU of {self.spec.key} is gone") from error
        asyncio.get_running_loop().add_reader(descriptor, self._over, descriptor)
        try:
            await self.monitor.connect(self.files.qmp, lambda: not self.ended.is_set())
        except MonitorError:
            await self.kill()
            raise

    def _over(self, descriptor: int) -> None:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        if self._process:
            self._process.poll()
        self._finish = asyncio.create_task(self._finished())

    async def _finished(self) -> None:
        # The last events, such as SHUTDOWN, may still be unread when the process is gone.
        await asyncio.sleep(0.02)
        await self.monitor.close()
        await self.guest_agent.close()
        await asyncio.to_thread(network.remove_tap, self.tap)
        shutil.rmtree(self.files.directory, ignore_errors=True)
        if self._guest_shutdown:
            self.end = End.SHUTDOWN
        else:
            self.end = End.KILLED if self._asked_to_end else End.CRASHED
        log.info("%s ended: %s", self.spec.key, self.end)
        self.agent_connected = False
        self.ended.set()
        self._on_change()
