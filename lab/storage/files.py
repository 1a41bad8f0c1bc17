"""Disk files: made, copied and removed whole, so that nobody ever sees a half-made one."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.storage.backend import StorageError

DISK_FILE = "disk.img"


def create(path: Path, size: int) -> None:
    """Make a sparse file of that size if there is none; an existing one is left as it is."""
    if not path.exists():
        _appear(path, None, size)


def copy(source: Path, path: Path, size: int = 0) -> None:
    """Make a sparse copy of a file nobody writes to, at least `size` bytes long; an existing one is left as it is.

    Raises StorageError when it cannot be copied or is larger than `size` allows.
    """
    if path.exists():
        return
    if not source.exists():
        raise StorageError(f"{source} does not exist, so {path} cannot be made from it")
    if size and source.stat().st_size > size:
        raise StorageError(f"{source} has {source.stat().st_size} bytes, more than the {size} of {path}: ask for more")
    _appear(path, source, size)


def remove(folder: Path, path: Path) -> None:
    """Remove a disk with its folder; one that is no `<group>/<name>/disk.img` of `folder` is refused (ValueError)."""
    own = path.parent.resolve()
    if own.parent.parent != folder.resolve():
        raise ValueError(f"{path} is no disk of the lab's volumes in {folder}; nothing was removed")
    shutil.rmtree(own, ignore_errors=True)


def _appear(path: Path, source: Path | None, size: int) -> None:
    """Let the file appear under its name when it is complete; the first of two callers wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        if source is not None:
            _copy(source, temporary)
        if size > temporary.stat().st_size:
            os.truncate(temporary, size)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _copy(source: Path, target: Path) -> None:
    argv = ["cp", "--sparse=always", "--reflink=auto", "--", str(source), str(target)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StorageError(f"{source} could not be copied: {done.stderr.strip()}")
