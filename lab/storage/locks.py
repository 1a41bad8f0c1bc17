"""Who may have a volume open: a lock of the kernel's on a file per volume, held by the guests' QEMUs themselves.

QEMU locks disks that are files of this machine, and refuses a second writer. Its drivers for NFS (version 3, without a
lock manager), iSCSI and RBD do not: a guest that is started anew while its node is only cut off would write beside
itself. Whoever starts a QEMU therefore hands the lock down to it: it lasts for as long as that process, whatever
becomes of agents, nodes and the API, and nobody has to remember it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from lab.config import LabConfig
from lab.storage.backend import Backend, StorageError


def lock_file(config: LabConfig, backend: Backend, handle: str) -> Path | None:
    """The file whose lock stands for a volume; None for a volume that QEMU locks itself.

    It stays when the volume goes: a file that was removed is another one than its successor, and so is its lock.
    """
    if not backend.traits.server:
        return None
    return config.state / "volume-locks" / backend.traits.name / f"{quote(handle, safe='')}.lock"


@contextmanager
def held(files: Sequence[Path], *, joining: bool) -> Iterator[tuple[int, ...]]:
    """Descriptors with the locks of volumes, for a QEMU to inherit during the block and to keep as long as it lives.

    A QEMU that starts a guest has to be alone; one that joins, to receive a migration, opens what the source has open.
    Raises StorageError when another QEMU is alive that has one of the volumes.
    """
    descriptors: list[int] = []
    try:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptors.append(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
            _lock(descriptors[-1], file, joining=joining)
        yield tuple(descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _lock(descriptor: int, file: Path, *, joining: bool) -> None:
    try:
        if not joining:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Shared from now on, so that a migration's target can join. If somebody is quicker in between, this one loses.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageError(
            f"volume {file.stem} of {file.parent.name} is open in another QEMU, which may still write to it; end that "
            f"guest, or power its node off (`fuser {file}` tells the process)"
        ) from None
