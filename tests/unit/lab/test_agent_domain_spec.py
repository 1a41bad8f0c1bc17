"""Reading a VirtualMachineInstance."""

from __future__ import annotations

from typing import Any

import pytest

from lab.agent import domain_spec
from lab.agent.domain_spec import DiskKind


def vmi(volumes: list[dict[str, Any]], **domain: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "vm", "uid": "u1"}, "spec": {"domain": domain, "volumes": volumes}}


def test_disks_get_the_serials_the_guest_looks_for() -> None:
    """Whatever the volumes are called, the first of each kind is root, data or cidata; a second keeps its name."""
    spec = domain_spec.read(vmi([
        {"name": "os", "containerDisk": {"image": "drainproof/guest"}},
        {"name": "store", "persistentVolumeClaim": {"claimName": "c1"}},
        {"name": "more", "persistentVolumeClaim": {"claimName": "c2"}},
        {"name": "init", "cloudInitNoCloud": {"userData": "x"}},
    ]), "02:00:00:00:00:01", "10.77.1.10")
    assert [disk.serial for disk in spec.disks] == ["root", "data", "more", "cidata"]
    assert [disk.source for disk in spec.disks] == ["drainproof/guest", "c1", "c2", ""]
    assert [disk.read_only for disk in spec.disks] == [True, False, False, True]
    assert spec.disks[1].kind is DiskKind.CLAIM


def test_declared_serial_wins() -> None:
    """A serial in the VM's own disk entry is what its guest asked for."""
    body = vmi([{"name": "a", "persistentVolumeClaim": {"claimName": "c"}}],
               devices={"disks": [{"name": "a", "serial": "mine", "disk": {}}]})
    assert domain_spec.read(body, "m", "i").disks[0].serial == "mine"


@pytest.mark.parametrize(
    ("domain", "memory", "vcpus"),
    [
        ({"memory": {"guest": "1Gi"}, "cpu": {"cores": 2, "sockets": 2}}, 1 << 30, 4),
        ({"resources": {"requests": {"memory": "300M"}}}, 300_000_000, 1),
        ({}, 512 << 20, 1),
    ],
)
def test_size(domain: dict[str, Any], memory: int, vcpus: int) -> None:
    """Guest memory, else the request, else the default; CPUs are cores by sockets by threads."""
    spec = domain_spec.read(vmi([], **domain), "m", "i")
    assert (spec.memory_bytes, spec.vcpus) == (memory, vcpus)


def test_unknown_volume_is_refused_by_name() -> None:
    """A volume the lab does not have is named, with what there is instead."""
    with pytest.raises(ValueError, match="volume odd is of kind hostDisk"):
        domain_spec.read(vmi([{"name": "odd", "hostDisk": {}}]), "m", "i")


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("drainproof/guest", True), ("drainproof/guest:abc", True), ("localhost:5000/drainproof/guest:1", True),
        ("drainproof/guests", False), ("other/guest:1", False), ("guest", False),
    ],
)
def test_guest_image_is_known_by_its_name(image: str, ours: bool) -> None:
    """Registry host and tag do not matter."""
    assert domain_spec.is_guest_image(image) is ours
