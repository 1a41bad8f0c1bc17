"""Processes that bear a lab's mark: started with it, found by it after a crash, ended by pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MARK = "DRAINPROOF_LAB"
"""Environment variable that names the lab a process belongs to; it survives the death of whoever kept the pid."""

NODE_MARK = "DRAINPROOF_NODE"
"""Environment variable that names the node a process belongs to: its agent, and what that has started."""


def marked_environment(lab: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child process of the lab."""
    return {**os.environ, MARK: lab, **(extra or {})}


def spawn(
    argv: Sequence[str], lab: str, log: Path, *, netns: str | None = None, extra: Mapping[str, str] | None = None,
    inherits: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a marked process in its own session, in a network namespace if one is named; output goes to `log`.

    Of this process's descriptors it has those that it `inherits`.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    inside = ["nsenter", f"--net=/run/netns/{netns}", "--"] if netns else []
    with log.open("ab") as out:
        return subprocess.Popen(
            [*inside, *argv], env=marked_environment(lab, extra), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, pass_fds=inherits,
        )


def marked(lab: str, variable: str = MARK) -> list[int]:
    """The pids of every living process that bears the lab's mark, this one excepted."""
    wanted = f"{variable}={lab}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0") and not _is_zombie(entry):
                found.append(int(entry.name))
    return found


def of_node(lab: str, node: str) -> list[int]:
    """The pids of every living process of one node of the lab."""
    return sorted({*marked(lab)} & {*marked(node, NODE_MARK)})


def kill_all(find: Callable[[], list[int]], rounds: int = 100) -> list[int]:
    """SIGKILL whatever `find` names, again until it names nobody; returns the pids that it named.

    What a process is about to start while it is killed shows up only in a later look.
    """
    killed: list[int] = []
    for _ in range(rounds):
        pids = find()
        if not pids:
            break
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        killed += [pid for pid in pids if pid not in killed]
        time.sleep(0.02)
    return killed


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def end(pids: Sequence[int], grace_seconds: float = 3.0) -> list[int]:
    """Ask each process to end, then kill what is left; returns the pids that had to be killed."""
    for pid in pids:
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)
    deadline = time.monotonic() + grace_seconds
    left = _living(pids)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = _living(left)
    for pid in left:
        _signal(pid, signal.SIGKILL)
    deadline = time.monotonic() + grace_seconds
    while _living(left) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _living(pids: Sequence[int]) -> list[int]:
    alive = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if not _is_zombie(Path("/proc") / str(pid)):
                alive.append(pid)
    return alive


def identity(pid: int) -> str:
    """A process as `pid:start time`, which no later process of the same pid equals; empty when there is none."""
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return ""
    return f"{pid}:{stat.rpartition(')')[2].split()[19]}"


def is_orphan(owner: str) -> bool:
    """Whether a lab's owner has died; a lab without an owner is nobody's orphan."""
    return bool(owner) and identity(int(owner.partition(":")[0])) != owner
