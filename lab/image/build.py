"""One build of the image, from nothing to a directory that can be renamed into place."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from lab.image import initrd, kernel, rootfs
from lab.image.recipe import KERNEL_ARGUMENTS

Log = Callable[[str], None]


def build(directory: Path, recipe: str, log: Log) -> None:
    """Fill the existing, empty `directory` with root.img, vmlinux, initrd.img, cmdline and manifest.json."""
    began = time.monotonic()
    work = directory / "work"
    work.mkdir()
    tree = work / "tree"
    log("guest image: unpacking the Debian packages")
    rootfs.unpack(tree, work)
    packages = rootfs.installed(work)
    log("guest image: making the kernel's initial RAM disk")
    kernel.unpack(tree, directory / "vmlinux")
    initrd.build(tree, work, directory / "initrd.img")
    log("guest image: making the database template")
    rootfs.furnish(tree)
    rootfs.prune(tree)
    log("guest image: writing the root file system")
    rootfs.pack(tree, directory / "root.img")
    (directory / "cmdline").write_text(KERNEL_ARGUMENTS + "\n")
    shutil.rmtree(work)
    manifest = {
        "recipe": recipe,
        "build_seconds": round(time.monotonic() - began, 1),
        "sizes": {path.name: path.stat().st_size for path in sorted(directory.iterdir())},
        "packages": packages,
    }
    (directory / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    log(f"guest image: built in {manifest['build_seconds']} s")
