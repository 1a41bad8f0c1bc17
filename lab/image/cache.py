"""The image cache: find the image of the present recipe, or build it exactly once."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.image.build import build
from lab.image.errors import ImageError
from lab.image.recipe import recipe_hash

_BUILDING = ".guest-building-"
_NEEDED_BYTES = 2 * 1024**3
_TOOLS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "setpriv": "util-linux", "mke2fs": "e2fsprogs"}


@dataclass(frozen=True)
class GuestImage:
    """A built guest image; all paths are absolute and read-only for its users."""

    directory: Path
    root: Path
    """ext4 file system, to be attached read-only with the virtio serial `root`."""
    kernel: Path
    initrd: Path
    cmdline: str
    manifest: Path
    tag: str
    """The recipe's hash, used as tag of the image's name."""


def ensure(cache: Path, log: Callable[[str], None] = lambda _line: None) -> GuestImage:
    """Return the image of the present recipe, building it (about half a minute) when the cache lacks it.

    `log` receives a line per step. A second caller waits for the first one's build. ImageError when it cannot be built.
    """
    cache = cache.resolve()
    recipe = recipe_hash()
    directory = cache / f"guest-{recipe}"
    if not directory.is_dir():
        _require(cache)
        with _only_builder(cache, log):
            if not directory.is_dir():
                _build_into(cache, directory, recipe, log)
    return GuestImage(directory, directory / "root.img", directory / "vmlinux", directory / "initrd.img",
                      (directory / "cmdline").read_text().strip(), directory / "manifest.json", recipe)


def _build_into(cache: Path, directory: Path, recipe: str, log: Callable[[str], None]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=cache))
    temporary.chmod(0o755)
    try:
        build(temporary, recipe, log)
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _require(cache: Path) -> None:
    if os.geteuid() != 0:
        raise ImageError("building the guest image needs root, because its files belong to several accounts: use sudo")
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})
    if missing:
        raise ImageError(f"building the guest image needs the Debian packages {', '.join(missing)}: "
                         "install them with apt")
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < _NEEDED_BYTES:
        raise ImageError(f"building the guest image needs {_NEEDED_BYTES >> 20} MiB free in {cache}, "
                         f"which has {free >> 20} MiB: free some space or choose another cache directory")


@contextmanager
def _only_builder(cache: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the cache's build lock, and remove what builders that were killed left behind."""
    with (cache / "guest.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("guest image: waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in cache.glob(f"{_BUILDING}*"):
            shutil.rmtree(leftover)
        yield
