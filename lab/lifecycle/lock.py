"""One command at a time works on a lab; the lock is the kernel's and dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from lab.lifecycle.errors import LifecycleError

DIRECTORY = Path("/run/drainproof")


def lock_file(lab: str) -> Path:
    return DIRECTORY / f"{lab}.lock"


@contextlib.contextmanager
def exclusive(lab: str) -> Iterator[None]:
    """Hold the lab's lock; raises LifecycleError when another command holds it."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(lab)
    try:
        yield
    finally:
        os.close(descriptor)


def _acquire(lab: str) -> int:
    """A file that was removed between opening and locking is no lock, so the name has to lead to it still."""
    path = lock_file(lab)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise LifecycleError(
                f"Another command is starting or stopping lab {lab}: wait for its end, or use another --name."
            ) from None
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        os.close(descriptor)
