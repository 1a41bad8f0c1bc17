"""A storage server's room: its processes in the unpacked root, in the network namespace `storage`, with its folders."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence

from lab import processes
from lab.config import LabConfig
from lab.storage import tree
from lab.storage.backend import StorageError
from lab.storage.directory import volumes_folder

MARK = "DRAINPROOF_STORAGE"
"""Environment variable of a server's process: `<server>.<process>`."""
ROLE = "storage"
"""The network namespace of all storage servers of a lab."""
ANSWER_SECONDS = 30.0
"""So long may a server take for one request of its administration."""
KILL_POLL_SECONDS = 0.02
PATH = "/usr/sbin:/usr/bin"

_ENTER = """
tree=$1 state=$2 volumes=$3; shift 3
mount --bind "$state" "$tree/state"
mount --bind "$state/run" "$tree/run"
mount --bind "$volumes" "$tree/volumes"
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
mount --rbind /sys "$tree/sys"
exec chroot "$tree" "$@"
"""


class Room:
    """Where one server of a lab lives: `state` is its `/state`, `state/run` its `/run`, `volumes` its `/volumes`."""

    def __init__(self, config: LabConfig, server: str) -> None:
        self._config = config
        self.server = server
        self.state = config.state / "storage" / server
        self.volumes = volumes_folder(config) / server
        self.log = config.logs(f"storage-{server}")

    def furnish(self, *folders: str) -> None:
        """Make the server's folders, and further ones below `state`."""
        for path in (self.volumes, *(self.state / name for name in ("run", *folders))):
            path.mkdir(parents=True, exist_ok=True)

    def spawn(self, process: str, argv: Sequence[str]) -> int:
        """Start a process that stays; returns its pid, which is that of the command itself."""
        extra = {**self._extra(), MARK: f"{self.server}.{process}"}
        netns = self._config.namespace(ROLE)
        return processes.spawn(self._inside(argv), self._config.name, self.log, netns=netns, extra=extra).pid

    async def kill(self, process: str) -> None:
        """End one of the server's processes without a word, and return when its port is free for a successor."""
        while pids := self.pids(process):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(KILL_POLL_SECONDS)

    async def run(self, argv: Sequence[str], seconds: float = ANSWER_SECONDS) -> str:
        """Run a command and return what it prints; raises StorageError when it fails or takes too long."""
        netns = f"--net=/run/netns/{self._config.namespace(ROLE)}"
        process = await asyncio.create_subprocess_exec(
            "nsenter", netns, "--", *self._inside(argv), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=processes.marked_environment(self._config.name, self._extra()),
        )
        try:
            async with asyncio.timeout(seconds):
                out, err = await process.communicate()
        except TimeoutError:
            raise StorageError(
                f"the {self.server} server did not answer within {seconds:.0f} s to `{' '.join(argv)}`: is it paused?"
            ) from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            last = (err or out).decode(errors="replace").strip().splitlines()[-1:]
            raise StorageError(f"`{' '.join(argv)}` failed with {process.returncode}: {''.join(last) or 'no message'}")
        return out.decode(errors="replace")

    def pids(self, process: str) -> list[int]:
        """The pids of one of the server's processes: one, or none when it is not there."""
        mine = processes.marked(f"{self.server}.{process}", MARK)
        return sorted({*mine} & {*processes.marked(self._config.name)}) if mine else []

    def _inside(self, argv: Sequence[str]) -> list[str]:
        root = tree.location(self._config.cache)
        places = [str(path) for path in (root, self.state, self.volumes)]
        return ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", _ENTER, "sh", *places, *argv]

    def _extra(self) -> dict[str, str]:
        # The tree is shared by all labs of a cache, so nothing may write byte code into it.
        return {"PATH": f"{PATH}:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C"}

