"""KVM or software emulation: decided by starting a guest kernel, because /dev/kvm alone proves nothing."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import tempfile
import time
from pathlib import Path

from lab import processes
from lab.agent.argv import QEMU
from lab.config import LabConfig
from lab.image import GuestImage

PATIENCE_SECONDS = 5.0
FIRST_LINE = b"Linux version"
POLL_SECONDS = 0.02


def choose(config: LabConfig, image: GuestImage) -> str:
    """`kvm` or `tcg`; the result of the test is kept in the cache until the machine boots another kernel."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    memory = config.cache / "acceleration.json"
    identity = _identity()
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(memory.read_text())
        if known["machine"] == identity:
            return str(known["accelerator"])
    accelerator = "kvm" if boots(config.name, image) else "tcg"
    memory.write_text(json.dumps({"machine": identity, "accelerator": accelerator}))
    return accelerator


def boots(lab: str, image: GuestImage) -> bool:
    """Whether a guest kernel prints its first line under KVM within 5 s; some hosts' KVM hangs before that."""
    with tempfile.TemporaryDirectory(prefix="drainproof-") as folder:
        serial = Path(folder) / "serial"
        process = processes.spawn(_argv(image, serial), lab, Path(folder) / "qemu.log")
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < deadline and process.poll() is None:
                if serial.exists() and FIRST_LINE in serial.read_bytes():
                    return True
                time.sleep(POLL_SECONDS)
            return False
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _argv(image: GuestImage, serial: Path) -> list[str]:
    return [
        QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "kvm", "-cpu", "host",
        "-m", "256M", "-no-reboot", "-kernel", str(image.kernel), "-initrd", str(image.initrd),
        "-append", "console=ttyS0 earlyprintk=serial,ttyS0 panic=-1", "-serial", f"file:{serial}",
    ]


def _identity() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{platform.node()} {platform.release()} {boot}"
