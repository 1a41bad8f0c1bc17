"""Copies of a disk by its QEMU: a real QEMU without a machine, whose disk is slow enough to be met half-way."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.agent import copies
from lab.agent.argv import DomainFiles
from lab.agent.copies import CopyError
from lab.agent.domain import Domain
from lab.agent.domain_spec import Disk, DiskKind, DomainSpec
from lab.agent.qmp import MonitorError

MIB = 1 << 20
SIZE = 32 * MIB
"""More than QEMU reads before it looks at the throttle."""
IDENTITY = "6a1a24a1-4061-4607-8bf4-a3963d0c5895"
Steps = Callable[[Domain, Path], Awaitable[None]]


class Qemu:
    """Runs a test's steps against a QEMU whose guest `demo/vm` has the disk `data`, throttled to a rate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "source.img"
        self.source.write_bytes(b"old" + bytes(range(256)) * (SIZE // 256 - 1) + bytes(253))
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, steps: Steps, bytes_per_second: int = 0) -> None:
        argv = [
            "qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-S",
            "-qmp", f"unix:{self.folder}/qmp,server=on,wait=off",
            "-object", f"throttle-group,id=slow,x-bps-read={bytes_per_second}",
            "-blockdev", json.dumps({"driver": "file", "node-name": "file0", "filename": str(self.source)}),
            "-blockdev", json.dumps({"driver": "throttle", "node-name": "disk0", "throttle-group": "slow",
                                     "file": "file0"}),
        ]
        self._process = subprocess.Popen(argv)
        asyncio.run(self._steps(steps))

    async def _steps(self, steps: Steps) -> None:
        disk = Disk(name="data", kind=DiskKind.CLAIM, serial="data", source="claim")
        spec = DomainSpec("demo", "vm", "u", "u", MIB, 1, "m", "i", (disk,))
        domain = Domain(spec, DomainFiles(self.folder, self.folder / "console"), "tap")
        await domain.monitor.connect(self.folder / "qmp", lambda: True)
        try:
            await steps(domain, self.folder)
        finally:
            await domain.monitor.close()

    def end(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


@pytest.fixture(name="qemu")
def started(tmp_path: Path) -> Iterator[Qemu]:
    qemu = Qemu(tmp_path)
    yield qemu
    qemu.end()


def empty(folder: Path, size: int = SIZE) -> dict[str, Any]:
    """QEMU's node of an empty volume."""
    path = folder / "target.img"
    with path.open("wb") as file:
        file.truncate(size)
    return {"driver": "file", "filename": str(path)}


async def ended(domain: Domain) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while (found := await copies.state(domain, IDENTITY))["status"] == "running":
            await asyncio.sleep(0.02)
    return found


async def jobs_and_nodes(domain: Domain) -> tuple[int, int]:
    """How many copies QEMU has, and how many nodes of theirs."""
    jobs = await domain.monitor.execute("query-jobs")
    nodes = await domain.monitor.execute("query-named-block-nodes", flat=True)
    return len(jobs), sum(str(node.get("node-name", "")).startswith("copy-") for node in nodes)


def test_a_copy_is_whole_and_leaves_nothing_in_qemu(qemu: Qemu) -> None:
    async def steps(domain: Domain, folder: Path) -> None:
        await copies.start(domain, IDENTITY, "data", empty(folder))
        assert (await ended(domain))["status"] == "completed"
        await copies.finish(domain, IDENTITY)
        assert await jobs_and_nodes(domain) == (0, 0)
        assert (folder / "target.img").read_bytes() == (folder / "source.img").read_bytes()

    qemu.run(steps)


def test_a_copy_is_begun_once_and_its_state_is_known_to_a_new_agent(qemu: Qemu) -> None:
    async def steps(domain: Domain, folder: Path) -> None:
        target = empty(folder)
        await copies.start(domain, IDENTITY, "data", target)
        await copies.start(domain, IDENTITY, "data", target)
        state = await copies.state(domain, IDENTITY)
        assert state["status"] == "running"
        assert await jobs_and_nodes(domain) == (1, 1)

    qemu.run(steps, bytes_per_second=MIB // 4)


def test_a_copy_under_way_is_cancelled(qemu: Qemu) -> None:
    async def steps(domain: Domain, folder: Path) -> None:
        await copies.start(domain, IDENTITY, "data", empty(folder))
        await copies.finish(domain, IDENTITY)
        assert await jobs_and_nodes(domain) == (0, 0)
        with pytest.raises(CopyError, match="makes no copy"):
            await copies.state(domain, IDENTITY)

    qemu.run(steps, bytes_per_second=MIB // 4)


def test_a_guest_that_leaves_gives_its_copies_up(qemu: Qemu) -> None:
    async def steps(domain: Domain, folder: Path) -> None:
        await copies.start(domain, IDENTITY, "data", empty(folder))
        assert await copies.give_up(domain) == [IDENTITY]
        assert await jobs_and_nodes(domain) == (0, 0)

    qemu.run(steps, bytes_per_second=MIB // 4)


@pytest.mark.parametrize(("volume", "size", "error"), [("nope", SIZE, CopyError), ("data", SIZE // 2, MonitorError)])
def test_what_cannot_be_copied_leaves_nothing(qemu: Qemu, volume: str, size: int, error: type[Exception]) -> None:
    async def steps(domain: Domain, folder: Path) -> None:
        with pytest.raises(error):
            await copies.start(domain, IDENTITY, volume, empty(folder, size))
        assert await jobs_and_nodes(domain) == (0, 0)

    qemu.run(steps)


def test_a_target_that_cannot_be_written_fails_the_copy(qemu: Qemu) -> None:
    async def steps(domain: Domain, folder: Path) -> None:
        target = {**empty(folder), "driver": "blkdebug", "image": empty(folder), "inject-error": [
            {"event": "pwritev", "errno": 28},
        ]}
        del target["filename"]
        await copies.start(domain, IDENTITY, "data", target)
        found = await ended(domain)
        assert (found["status"], "No space left" in found["error"]) == ("failed", True)
        await copies.finish(domain, IDENTITY)
        assert await jobs_and_nodes(domain) == (0, 0)

    qemu.run(steps)
