"""Container images without a registry: imported from what the setup has on this machine.

Prometheus is the Debian package that the lab uses, with the libraries that it links; MariaDB is the guest's own root
file system, so that it is the very server that runs in the virtual machines.
"""

from __future__ import annotations

import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path("/var/cache/drainproof")
PROMETHEUS = CACHE / "tools" / "usr" / "bin" / "prometheus"


def prometheus(archive: Path) -> None:
    """Write the file system of a Prometheus image; skips the test where the setup has not unpacked it."""
    if not PROMETHEUS.exists():
        pytest.skip(f"{PROMETHEUS} is missing; run ./bootstrap.sh")
    linked = subprocess.run(["ldd", PROMETHEUS], capture_output=True, text=True, check=True).stdout
    with tarfile.open(archive, "w") as tar:
        tar.add(PROMETHEUS, "bin/prometheus")
        for library in re.findall(r"(/\S+) \(0x", linked):
            tar.add(Path(library).resolve(), library.removeprefix("/"))
        for folder in ("tmp", "etc/prometheus"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)


def guest(archive: Path) -> None:
    """Write the guest's root file system; skips the test where no guest image has been built."""
    found = sorted(CACHE.glob("guest-*/root.img"), key=lambda path: path.stat().st_mtime)
    if not found:
        pytest.skip("no guest image has been built; `make image` or `drainproof lab up` builds it")
    with _mounted(found[-1]) as tree:
        subprocess.run(["tar", "--create", "--file", archive, "--directory", tree, "."], check=True, timeout=120)


@contextmanager
def _mounted(image: Path) -> Iterator[Path]:
    """The file system of an image, read-only; skips the test where this process may not mount."""
    with tempfile.TemporaryDirectory(prefix="drainproof-guest-") as place:
        done = subprocess.run(
            ["mount", "-o", "loop,ro,noload", image, place], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"the guest image cannot be mounted here: {done.stderr.strip()}")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True)
