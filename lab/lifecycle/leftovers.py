"""Finding and removing everything that bears a lab's name, whoever left it and however it died."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lab import processes
from lab.lifecycle import lock
from lab.lifecycle.errors import LifecycleError
from lab.net import namespaces, topology

ROUNDS = 5
STATE_LINK = "state"
"""In the run directory: leads to the state directory, wherever that was put."""
DEFAULT_STATE = Path("/var/lib/drainproof")
NAME = re.compile(r"[a-z][a-z0-9]{0,11}")
"""No hyphen: dp-<name>-<role> must never be the beginning of another lab's names."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a lab has on this machine, or what of it was removed."""

    processes: tuple[int, ...] = ()
    namespaces: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    paths: tuple[str, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.processes or self.namespaces or self.mounts or self.paths)

    def sentence(self) -> str:
        parts = [
            f"{len(items)} {word}" for items, word in (
                (self.processes, "processes"), (self.namespaces, "network namespaces"), (self.mounts, "mounts"),
                (self.paths, "directories and files"),
            ) if items
        ]
        return ", ".join(parts) or "nothing"


def run_directory(lab: str) -> Path:
    return lock.DIRECTORY / lab


def find(lab: str, state: Path | None = None) -> Found:
    """Everything of the lab; the state directory comes from the run directory's link unless it is given."""
    paths = [path for path in _paths(lab, state) if path.is_symlink() or path.exists()]
    return Found(
        tuple(sorted(processes.marked(lab))), tuple(topology.leftovers(lab)), tuple(_mounts(paths)),
        tuple(str(path) for path in paths),
    )


def remove(
    lab: str, state: Path | None = None, *, keep_logs: bool = False, keep_lock: bool = False
) -> Found:
    """End and remove everything of the lab and return what there was; raises LifecycleError when something stays.

    Call it with the lab's lock held. The lock's file goes last; keep it when the work on the lab goes on.
    """
    before = find(lab, state)
    _end_processes(lab)
    topology.destroy(lab)
    for mount in before.mounts:
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    for path in _paths(lab, state):
        _remove_path(path, keep_logs=keep_logs)
    left = find(lab, state)
    paths = () if keep_logs else left.paths
    if left.processes or left.namespaces or left.mounts or paths:
        what = [*map(str, left.processes), *left.namespaces, *left.mounts, *paths]
        raise LifecycleError(f"Lab {lab} could not be removed completely; still there: {', '.join(what)}.")
    if not keep_lock:
        lock.lock_file(lab).unlink(missing_ok=True)
    return before


def names() -> list[str]:
    """Every lab of which this machine bears a trace: marked processes, namespaces, run and state directories."""
    found = {*_marked_names(), *_namespace_names()}
    for directory in (lock.DIRECTORY, DEFAULT_STATE):
        if directory.is_dir():
            found |= {entry.name.removesuffix(".lock") for entry in directory.iterdir()}
    return sorted(name for name in found if NAME.fullmatch(name))


def _end_processes(lab: str) -> None:
    """A process that is just being started may show up only in the next look."""
    for _ in range(ROUNDS):
        pids = processes.marked(lab)
        if not pids:
            return
        processes.end(pids)


def _paths(lab: str, state: Path | None) -> list[Path]:
    run = run_directory(lab)
    link = run / STATE_LINK
    known = link.readlink() if link.is_symlink() else None
    states = dict.fromkeys(path for path in (state, known, DEFAULT_STATE / lab) if path)
    return [*states, run]


def _remove_path(path: Path, *, keep_logs: bool) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    elif keep_logs and (path / "logs").is_dir():
        for entry in path.iterdir():
            if entry.name != "logs":
                _remove_path(entry, keep_logs=False)
    elif path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()


def _mounts(paths: Iterable[Path]) -> list[str]:
    prefixes = tuple(f"{path}/" for path in paths)
    table = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in table]
    return [point for point in points if prefixes and point.startswith(prefixes)]


def _marked_names() -> set[str]:
    found = set()
    wanted = f"{processes.MARK}=".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                variables = (entry / "environ").read_bytes().split(b"\0")
                found |= {value.removeprefix(wanted).decode() for value in variables if value.startswith(wanted)}
    return found


def _namespace_names() -> set[str]:
    return {name.split("-")[1] for name in namespaces.named("dp-") if name.count("-") >= 2}
