"""What the guest image consists of, and the hash that names it."""

import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUEST = HERE / "guest"

PACKAGES = (
    "base-files", "base-passwd", "bash", "busybox-static", "coreutils", "e2fsprogs", "libc-bin",
    "linux-image-cloud-amd64", "lz4", "qemu-guest-agent", "runit", "util-linux",
    "galera-4", "mariadb-server", "rsync",
    "nginx-light", "python3-mysqldb", "uwsgi-core", "uwsgi-plugin-python3",
    "prometheus-mysqld-exporter", "prometheus-node-exporter", "fio",
)  # fmt: skip
"""Debian packages of the guest; their dependencies come along."""

MODULES = (
    "virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio-rng", "overlay",
    "isofs", "vfat", "nls_ascii", "nls_cp437", "button", "evdev", "virtio_balloon",
)  # fmt: skip
"""Kernel modules loaded at start; what they depend on comes along. ext4 is part of the kernel."""

KERNEL_ARGUMENTS = (
    "console=ttyS0 quiet loglevel=3 panic=1 mitigations=off nokaslr random.trust_cpu=on "
    "tsc=reliable no_timer_check nowatchdog cryptomgr.notests rcupdate.rcu_expedited=1 audit=0 "
    "transparent_hugepage=never"
)
"""One virtual CPU under software emulation: no calibration by waiting, no self tests, a trusted clock.

Huge pages are off because the emulator's address cache is flushed as a whole wherever they are used.
"""

EMULATED_CPU = "Westmere,+rdrand"
"""The CPU model to run the guest with under software emulation.

Programs pick their code by CPU; without AVX they emulate a third faster than with QEMU's `max` (measured: a scrape of
the database exporter costs 105 ms instead of 157 ms). Without rdrand the database waits 10 s for entropy.
"""

USERS = (("mysql", 150), ("portal", 151), ("prometheus", 152), ("bench", 153))
"""Accounts the services run under, with uid (and gid of the same name)."""

PRUNED = (
    "boot", "usr/lib/modules", "usr/lib/initramfs-tools", "usr/share/initramfs-tools", "var/cache", "var/lib/apt",
    "var/lib/dpkg", "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
    "usr/share/perl", "usr/share/perl5", "usr/lib/x86_64-linux-gnu/perl", "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/share/i18n", "usr/share/vim", "usr/lib/systemd", "usr/share/bash-completion",
)  # fmt: skip
"""Folders of the tree that a running guest never reads."""

COOKING_MODULES = ("recipe.py", "apt.py", "rootfs.py", "initrd.py", "kernel.py", "build.py")


def recipe_hash() -> str:
    """Return the 12 hex digits that name an image built from the recipe as it stands."""
    digest = hashlib.sha256()
    cooking = [HERE / name for name in COOKING_MODULES]
    for path in sorted([*cooking, *(path for path in GUEST.rglob("*") if path.is_file())]):
        if path.suffix == ".pyc":
            continue
        content = path.read_bytes()
        digest.update(f"{path.relative_to(HERE)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]
