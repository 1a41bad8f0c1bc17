"""What QEMU has to be given for one VirtualMachineInstance: a pure reading of the VMI, with no side effects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from lab.client import Object
from lab.machinery import quantity

DEFAULT_MEMORY = "512Mi"
GUEST_IMAGE = "drainproof/guest"


class DiskKind(StrEnum):
    """Where a disk comes from; it decides caching, locking and the serial number the guest looks for."""

    CONTAINER = "containerDisk"
    CLAIM = "persistentVolumeClaim"
    CLOUD_INIT = "cloudInitNoCloud"


SERIALS = {DiskKind.CONTAINER: "root", DiskKind.CLAIM: "data", DiskKind.CLOUD_INIT: "cidata"}
"""How the guest image finds its disks, whatever the volumes are called."""


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of a guest."""

    name: str
    kind: DiskKind
    serial: str
    source: str
    """Image name, claim name, or empty for cloud-init."""
    blockdev: Mapping[str, object] = field(default_factory=dict)
    """QEMU's protocol-level block node; set once the volume has been prepared on the node."""

    @property
    def read_only(self) -> bool:
        return self.kind is not DiskKind.CLAIM

    def at(self, blockdev: Mapping[str, object]) -> Disk:
        return replace(self, blockdev=blockdev)


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """One guest, as its VMI asks for it."""

    namespace: str
    name: str
    uid: str
    """The VMI's uid."""
    uuid: str
    memory_bytes: int
    vcpus: int
    mac: str
    ip: str
    disks: tuple[Disk, ...]
    paused: bool = False

    @property
    def domain(self) -> str:
        """libvirt's name of the domain, as KubeVirt forms it."""
        return f"{self.namespace}_{self.name}"

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def read(vmi: Object, mac: str, ip: str) -> DomainSpec:
    """The domain that a VMI describes; raises ValueError for a volume or quantity the lab does not have."""
    meta, spec = vmi["metadata"], vmi["spec"]
    domain = spec["domain"]
    memory = domain.get("memory", {}).get("guest") or _requested_memory(domain) or DEFAULT_MEMORY
    return DomainSpec(
        namespace=meta["namespace"], name=meta["name"], uid=meta["uid"],
        uuid=domain.get("firmware", {}).get("uuid") or meta["uid"],
        memory_bytes=math.ceil(quantity.parse(memory)), vcpus=_vcpus(domain.get("cpu", {})), mac=mac, ip=ip,
        disks=_disks(spec), paused=spec.get("startStrategy") == "Paused",
    )


def images(vmi: Object) -> list[str]:
    """The names of the container disk images that a VMI needs."""
    volumes = vmi["spec"].get("volumes", [])
    return [volume["containerDisk"]["image"] for volume in volumes if "containerDisk" in volume]


def is_guest_image(image: str) -> bool:
    """Whether an image name means the lab's own guest image, under any registry host and tag."""
    path, _, last = image.rpartition("/")
    name = f"{path}/{last.partition(':')[0].partition('@')[0]}"
    return name == GUEST_IMAGE or name.endswith(f"/{GUEST_IMAGE}")


def image_tag(image: str) -> str:
    """The tag of an image name; empty without one."""
    return image.rpartition("/")[2].partition(":")[2]


def _requested_memory(domain: Object) -> str | None:
    value: str | None = domain.get("resources", {}).get("requests", {}).get("memory")
    return value


def _vcpus(cpu: Object) -> int:
    return int(cpu.get("cores", 1)) * int(cpu.get("sockets", 1)) * int(cpu.get("threads", 1))


def _disks(spec: Object) -> tuple[Disk, ...]:
    declared = {disk["name"]: disk for disk in spec["domain"].get("devices", {}).get("disks", [])}
    disks: list[Disk] = []
    for volume in spec.get("volumes", []):
        kind, source = _source(volume)
        taken = {disk.serial for disk in disks}
        standard = SERIALS[kind] if SERIALS[kind] not in taken else volume["name"]
        serial = declared.get(volume["name"], {}).get("serial") or standard
        disks.append(Disk(name=volume["name"], kind=kind, serial=serial, source=source))
    return tuple(disks)


def _source(volume: dict[str, Any]) -> tuple[DiskKind, str]:
    if "containerDisk" in volume:
        return DiskKind.CONTAINER, str(volume["containerDisk"]["image"])
    if "persistentVolumeClaim" in volume:
        return DiskKind.CLAIM, str(volume["persistentVolumeClaim"]["claimName"])
    if "cloudInitNoCloud" in volume:
        return DiskKind.CLOUD_INIT, ""
    kinds = ", ".join(key for key in volume if key != "name")
    raise ValueError(
        f"volume {volume['name']} is of kind {kinds or 'none'}; the lab has containerDisk, persistentVolumeClaim and "
        "cloudInitNoCloud"
    )
