"""The storage servers of a lab: started with it, looked at, paused, resumed, and replaced by a successor."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import lab
from lab import storage
from lab.config import LabConfig
from lab.image import ImageError
from lab.lifecycle.errors import LifecycleError
from lab.storage import Server, StorageError, tree

MODULES = Path("/usr/lib/x86_64-linux-gnu/qemu")
_DRIVERS = {"ceph": "block-rbd.so", "iscsi": "block-iscsi.so", "nfs": "block-nfs.so"}
RUNNING, PAUSED, DOWN = "running", "paused", "down"
VERBS = ("pause", "resume", "failover", "status")


def problem(config: LabConfig) -> str:
    """What this machine's QEMU lacks for the lab's storage servers, as a sentence; empty: nothing."""
    missing = [_DRIVERS[name] for name in config.storage if not (MODULES / _DRIVERS[name]).exists()]
    if not missing:
        return ""
    names = ", ".join(missing)
    return f"QEMU's modules {names} are missing in {MODULES}. Install with: apt-get install qemu-block-extra"


def unpack(config: LabConfig, progress: Callable[[str], None]) -> None:
    """Have the servers' programs in the cache; raises LifecycleError when they cannot be had."""
    if config.storage:
        try:
            tree.ensure(config.cache, progress)
        except ImageError as error:
            raise LifecycleError(str(error)) from error


async def start(config: LabConfig, progress: Callable[[str], None]) -> None:
    """Start every server that the lab is to have, at once; raises LifecycleError when one does not serve."""

    async def one(class_name: str) -> None:
        await storage.server(config, class_name).start()
        progress(f"storage class {class_name}")

    try:
        await asyncio.gather(*map(one, served(config)))
    except StorageError as error:
        raise LifecycleError(f"A storage server did not start: {error}") from error


def served(config: LabConfig) -> list[str]:
    """The lab's storage classes that have a server."""
    return [traits.name for traits in storage.classes(config) if traits.server]


def server_of(config: LabConfig, class_name: str) -> Server:
    """The server behind a class; raises LifecycleError when the lab has none."""
    try:
        return storage.server(config, class_name)
    except StorageError as error:
        raise LifecycleError(f"Lab {config.name}: {error}.") from error


def pause(config: LabConfig, class_name: str) -> None:
    """Have the server stand still: its processes are stopped, its connections stay."""
    _signal(server_of(config, class_name), signal.SIGSTOP)


def resume(config: LabConfig, class_name: str) -> None:
    """Have the server go on; one that was not paused is left as it is."""
    _signal(server_of(config, class_name), signal.SIGCONT)


def fail_over(config: LabConfig, class_name: str) -> None:
    """Kill what serves, and return when a successor serves; raises LifecycleError when none does."""
    server = server_of(config, class_name)
    if state(server) != RUNNING:
        raise LifecycleError(f"The server of {class_name} in lab {config.name} is {state(server)}: resume it first.")
    try:
        asyncio.run(server.fail_over())
    except StorageError as error:
        raise LifecycleError(f"The server of {class_name} in lab {config.name} has no successor: {error}") from error


def status(config: LabConfig, class_name: str) -> str:
    """`running`, `paused` or `down`, and the pids, which tell a server from its successor."""
    server = server_of(config, class_name)
    pids = ",".join(str(pid) for group in server.needed for process in group for pid in server.room.pids(process))
    return f"{state(server)} pids {pids or 'none'}"


def state(server: Server) -> str:
    """How the server stands, as its processes show it."""
    groups = [[pid for process in group for pid in server.room.pids(process)] for group in server.needed]
    if not all(groups):
        return DOWN
    return PAUSED if any(all(map(_stopped, group)) for group in groups) else RUNNING


def missing(config: LabConfig) -> list[str]:
    """The servers that should be there and are not."""
    found = {name: state(storage.server(config, name)) for name in served(config)}
    return [f"server of {name}" for name, is_ in found.items() if is_ == DOWN]


def facts(config: LabConfig) -> dict[str, object]:
    """For each class with a server, the commands that disturb it, from wherever on this machine."""
    project = str(Path(lab.__file__).resolve().parent.parent)
    begin = ["env", f"PYTHONPATH={project}", sys.executable, "-m", "lab", "storage"]
    commands = {verb: [*begin, verb, "--name", config.name, "--storage-class", "{class}"] for verb in VERBS}
    return {name: {**commands, "generation_pattern": r"pids [\d,]+"} for name in served(config)}


def _signal(server: Server, number: signal.Signals) -> None:
    for group in server.needed:
        for process in group:
            for pid in server.room.pids(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)


def _stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"
