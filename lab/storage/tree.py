"""The storage servers' own root directory: Debian packages, unpacked once into the cache, never installed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.image import apt
from lab.image.errors import ImageError
from lab.image.run import run_isolated

PACKAGES = (
    "ceph-common", "ceph-mon", "ceph-osd", "coreutils", "dash", "libc-bin", "netbase", "nfs-ganesha",
    "nfs-ganesha-vfs", "rpcbind", "tgt",
)
"""Servers and the tools that set them up; their dependencies come along."""
PRUNED = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
    "usr/share/bash-completion", "usr/share/perl", "usr/lib/systemd", "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base", "var/cache", "var/lib/apt", "var/lib/dpkg",
)  # fmt: skip
"""Folders that no server reads."""
MOUNT_POINTS = ("dev", "proc", "run", "state", "sys", "tmp", "volumes")
FILES = {
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/passwd": (
        "root:*:0:0:root:/root:/bin/sh\n_rpc:*:101:65534::/run/rpcbind:/usr/sbin/nologin\n"
        "nobody:*:65534:65534::/nonexistent:/usr/sbin/nologin\n"
    ),
    "etc/group": "root:*:0:\nnogroup:*:65534:\n",
}
LINKS = {"etc/mtab": "/proc/self/mounts", "var/run": "/run"}
_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")
_BUILDING = ".storage-building-"
_NEEDED_BYTES = 2 * 1024**3


def recipe_hash() -> str:
    """The 12 hex digits that name the tree that this module makes."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


def location(cache: Path) -> Path:
    """Where the tree is, or will be, in a cache."""
    return cache / f"storage-{recipe_hash()}"


def ensure(cache: Path, log: Callable[[str], None]) -> Path:
    """The tree, made (in about a minute) when the cache lacks it; a second caller waits for the first one's.

    Raises ImageError when it cannot be made.
    """
    directory = location(cache)
    if not directory.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _only_builder(cache, log):
            if not directory.is_dir():
                _build(cache, directory, log)
    return directory


def _build(cache: Path, directory: Path, log: Callable[[str], None]) -> None:
    if shutil.which("mmdebstrap") is None:
        raise ImageError("the storage servers need the Debian package mmdebstrap to be unpacked: install it with apt")
    if shutil.disk_usage(cache).free < _NEEDED_BYTES:
        raise ImageError(f"the storage servers need {_NEEDED_BYTES >> 20} MiB free in {cache}: free some space")
    log("storage servers: unpacking their Debian packages, once for this cache, which takes a minute")
    work = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=cache))
    try:
        tree = work / "tree"
        _unpack(tree, work)
        _furnish(tree)
        tree.chmod(0o755)
        tree.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _unpack(tree: Path, work: Path) -> None:
    sources, options = work / "debian.sources", work / "apt.conf"
    sources.write_text("\n".join(source.deb822() for source in apt.debian_sources()))
    options.write_text(apt.transport_options())
    run_isolated(
        ["mmdebstrap", "--mode=root", "--variant=extract", "--format=directory", f"--hook-dir={_HOOKS}",
         f"--aptopt={options}", f"--include={','.join(PACKAGES)}", apt.SUITE, tree, sources],
        network=True,
    )  # fmt: skip


def _furnish(tree: Path) -> None:
    """What the packages' installation scripts would have made, as far as the servers need it."""
    for folder in PRUNED:
        shutil.rmtree(tree / folder, ignore_errors=True)
    for folder in (*MOUNT_POINTS, "var/lib/nfs/ganesha"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (tree / name).write_text(text)
    for name, target in LINKS.items():
        (tree / name).unlink(missing_ok=True)
        (tree / name).symlink_to(target)


@contextmanager
def _only_builder(cache: Path, log: Callable[[str], None]) -> Iterator[None]:
    descriptor = os.open(cache / "storage.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("storage servers: waiting for another lab to unpack them")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        for leftover in cache.glob(f"{_BUILDING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        os.close(descriptor)
