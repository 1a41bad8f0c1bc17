"""QEMU's command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from lab.agent.argv import Boot, DomainFiles, build
from lab.agent.domain_spec import Disk, DiskKind, DomainSpec

FILES = DomainFiles(Path("/run/d/node-a/ns_vm"), Path("/logs/console.log"))
BOOT = Boot(Path("/c/vmlinux"), Path("/c/initrd.img"), "console=ttyS0 quiet")
ROOT = Disk("root", DiskKind.CONTAINER, "root", "drainproof/guest", {"driver": "file", "filename": "/c/root.img"})
DATA = Disk("data", DiskKind.CLAIM, "data", "claim", {"driver": "nfs", "path": "/v,1/disk.img"})
SPEC = DomainSpec("ns", "vm", "u1", "uuid-1", 512 << 20, 2, "02:00:00:00:00:01", "10.77.1.10", (ROOT, DATA))


def value(argv: list[str], option: str) -> str:
    return argv[argv.index(option) + 1]


def values(argv: list[str], option: str) -> list[str]:
    return [argv[number + 1] for number, entry in enumerate(argv) if entry == option]


def test_basics() -> None:
    """Name, memory, CPUs, kernel and MAC come from the domain."""
    argv = build(SPEC, FILES, BOOT, "tap0", "kvm")
    assert value(argv, "-name").startswith("guest=ns_vm")
    assert value(argv, "-m") == "size=524288k"
    assert value(argv, "-smp") == "2"
    assert value(argv, "-append") == "console=ttyS0 quiet"
    assert any("mac=02:00:00:00:00:01" in entry for entry in values(argv, "-device"))
    assert "-incoming" not in argv
    assert "-S" not in argv


def test_emulated_memory_is_no_multiple_of_64_pages() -> None:
    """Only then does a QEMU before 9.0 see every store of an emulated guest while it migrates."""
    kib = int(value(build(SPEC, FILES, BOOT, "tap0", "tcg"), "-m").removeprefix("size=").removesuffix("k"))
    assert kib * 1024 % (64 * 4096) != 0
    assert kib * 1024 - SPEC.memory_bytes == 8192


def test_an_emulated_guest_is_translated_for_two_processors_at_least() -> None:
    """Only then does a QEMU before 8.1 keep the barriers between the guest and the threads of its devices."""
    one = replace(SPEC, vcpus=1)
    assert value(build(one, FILES, BOOT, "tap0", "tcg"), "-smp") == "1,maxcpus=2"
    assert value(build(SPEC, FILES, BOOT, "tap0", "tcg"), "-smp") == "2"
    assert value(build(one, FILES, BOOT, "tap0", "kvm"), "-smp") == "1"


def test_accelerator_decides_the_processor() -> None:
    """Emulation gets a fixed model and a bounded translation buffer, KVM the host's processor."""
    emulated, accelerated = (build(SPEC, FILES, BOOT, "tap0", name) for name in ("tcg", "kvm"))
    assert value(emulated, "-accel") == "tcg,thread=multi,tb-size=512"
    assert value(emulated, "-cpu") != "host"
    assert value(accelerated, "-accel") == "kvm"
    assert value(accelerated, "-cpu").startswith("host")


def test_claims_bypass_the_page_cache_and_images_are_read_only() -> None:
    """A claim's disk is opened with cache=none; the root image cannot be written."""
    nodes = [json.loads(entry) for entry in values(build(SPEC, FILES, BOOT, "tap0", "tcg"), "-blockdev")]
    assert [node["read-only"] for node in nodes] == [True, True, False, False]
    assert [node["cache"]["direct"] for node in nodes] == [False, False, True, True]
    assert nodes[2]["driver"] == "nfs"
    assert nodes[2]["path"] == "/v,1/disk.img"
    assert nodes[3] == {**nodes[3], "driver": "raw", "file": nodes[2]["node-name"], "discard": "unmap"}


def test_source_and_target_of_a_migration_differ_in_incoming_alone() -> None:
    """The devices are the same, in the same order, and so have the same addresses."""
    source = build(SPEC, FILES, BOOT, "tap0", "tcg")
    target = build(SPEC, FILES, BOOT, "tap0", "tcg", incoming=True)
    assert target == [*source, "-incoming", "defer"]


def test_paused_guest_starts_stopped_unless_it_comes_from_elsewhere() -> None:
    """startStrategy Paused holds the first start, and a migration brings its own run state."""
    paused = replace(SPEC, paused=True)
    assert "-S" in build(paused, FILES, BOOT, "tap0", "tcg")
    assert "-S" not in build(paused, FILES, BOOT, "tap0", "tcg", incoming=True)


def test_commas_in_paths_are_doubled() -> None:
    """QEMU would otherwise take the rest of the path for another option."""
    files = DomainFiles(Path("/run/a,b"), Path("/logs/console.log"))
    options = values(build(SPEC, files, BOOT, "tap0", "tcg"), "-chardev")
    assert any("path=/run/a,,b/qmp" in entry for entry in options)
