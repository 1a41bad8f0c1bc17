"""The command line of QEMU for one guest: a pure function of the domain, its files and the accelerator."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lab.agent.domain_spec import Disk, DiskKind, DomainSpec
from lab.image.recipe import EMULATED_CPU

QEMU = "qemu-system-x86_64"
TCG_ODD_BYTES = 8192
"""Added to an emulated guest's memory, so that its size is no multiple of 64 pages.

QEMU before 9.0 forgets to reset the emulated processor's TLB when it synchronises the dirty bitmap of a memory block
in whole words; stores then go unseen, and now and then a live migration arrives with old pages in it. A block whose
size is no multiple of 64 pages is synchronised page by page, which does reset it. (Fixed upstream by "physmem: Fix
migration dirty bitmap coherency with TCG memory access"; 8 KiB is the granule of a PC's memory size.)
"""
TCG_BUFFER_MIB = 512
"""Translated code kept per guest, at most, in MiB: a guest of the portal has made 270 MiB of it when it has started.

With less than a guest works with (90 MiB after a migration), QEMU throws all of it away every ten seconds and
translates again, for seconds of a core each time. QEMU counts this as "TB flush count" (`info jit`).
"""
TCG_LEAST_PROCESSORS = 2
"""For how many processors an emulated guest is translated at least, even when it has but one.

For a single one, QEMU before 8.1 leaves the guest's memory barriers out, and the devices run in other threads: now and
then a disk does not see that it was asked, or the guest that it was answered, and waits for ever. (Fixed upstream by
"tcg: Do not elide memory barriers for !CF_PARALLEL in system mode".) The second processor is never plugged in.
"""


@dataclass(frozen=True, slots=True)
class DomainFiles:
    """The paths that belong to one running domain."""

    directory: Path
    serial_log: Path

    @property
    def qmp(self) -> Path:
        """The agent's monitor."""
        return self.directory / "qmp"

    @property
    def debug_qmp(self) -> Path:
        """A second monitor, for people and tests."""
        return self.directory / "debug.qmp"

    @property
    def guest_agent(self) -> Path:
        return self.directory / "qga"

    @property
    def record(self) -> Path:
        """What an agent that was restarted needs to take the domain over."""
        return self.directory / "domain.json"


@dataclass(frozen=True, slots=True)
class Boot:
    """The kernel that a guest is started with, as QEMU loads it: no boot loader in the guest."""

    kernel: Path
    initrd: Path
    cmdline: str


def build(
    spec: DomainSpec, files: DomainFiles, boot: Boot, tap: str, accelerator: str, *, incoming: bool = False
) -> list[str]:
    """The argument list; source and target of a migration differ in `-incoming` alone.

    Devices get their PCI addresses by their order, so the order is the same wherever the guest runs.
    """
    argv = [
        QEMU,
        "-name", f"guest={spec.domain},debug-threads=on",
        "-uuid", spec.uuid,
        "-nodefaults", "-no-user-config", "-display", "none",
        *_machine(spec, accelerator),
        "-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", boot.cmdline,
        *_monitor("monitor", files.qmp),
        *_monitor("debug", files.debug_qmp),
        "-chardev", f"file,id=console,path={_escape(files.serial_log)},append=on", "-serial", "chardev:console",
        "-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=entropy",
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=agent,path={_escape(files.guest_agent)},server=on,wait=off",
        "-device", "virtserialport,id=channel,chardev=agent,name=org.qemu.guest_agent.0",
        "-netdev", f"tap,id=net,ifname={tap},script=no,downscript=no,vhost=off",
        "-device", f"virtio-net-pci,netdev=net,mac={spec.mac},romfile=",
    ]
    for number, disk in enumerate(spec.disks):
        argv += _disk(number, disk)
    if incoming:
        argv += ["-incoming", "defer"]
    elif spec.paused:
        argv += ["-S"]
    return argv


def _machine(spec: DomainSpec, accelerator: str) -> list[str]:
    accel = "kvm" if accelerator == "kvm" else f"tcg,thread=multi,tb-size={TCG_BUFFER_MIB}"
    cpu = "host,migratable=on" if accelerator == "kvm" else EMULATED_CPU
    memory = spec.memory_bytes + (0 if accelerator == "kvm" else TCG_ODD_BYTES)
    processors = str(spec.vcpus)
    if accelerator != "kvm" and spec.vcpus < TCG_LEAST_PROCESSORS:
        processors += f",maxcpus={TCG_LEAST_PROCESSORS}"
    return [
        "-machine", "q35,usb=off,vmport=off", "-accel", accel, "-cpu", cpu,
        "-smp", processors, "-m", f"size={memory // 1024}k", "-rtc", "base=utc,clock=host",
    ]


def _monitor(name: str, path: Path) -> list[str]:
    return [
        "-chardev", f"socket,id={name},path={_escape(path)},server=on,wait=off",
        "-mon", f"chardev={name},mode=control",
    ]


def _disk(number: int, disk: Disk) -> list[str]:
    """Claims bypass the host's page cache, as live migration needs; read-only files are shared through it."""
    claim = disk.kind is DiskKind.CLAIM
    shared = {"read-only": disk.read_only, "cache": {"direct": claim}, "discard": "unmap" if claim else "ignore"}
    protocol = {**disk.blockdev, "node-name": f"file{number}", "auto-read-only": False, **shared}
    top = {"driver": "raw", "node-name": f"disk{number}", "file": f"file{number}", **shared}
    device = f"virtio-blk-pci,drive=disk{number},serial={disk.serial[:20]},id={device_id(disk.name)}"
    if claim:
        device += ",write-cache=on"
    return ["-blockdev", json.dumps(protocol), "-blockdev", json.dumps(top), "-device", device]


def device_id(volume: str) -> str:
    """The id of a VM's volume as QEMU's device, by which a monitor finds its disk."""
    return f"ua-{volume}"


def _escape(path: Path) -> str:
    """QEMU's option syntax doubles a comma that belongs to the value."""
    return str(path).replace(",", ",,")
