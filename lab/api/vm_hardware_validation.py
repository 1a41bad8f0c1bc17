"""Checks of a VM's processors, memory, firmware and order of boot, with the texts of KubeVirt's webhook."""

from __future__ import annotations

import re
from decimal import Decimal
from fnmatch import fnmatchcase

from lab.api.errors import Cause, Object
from lab.machinery.quantity import UNREADABLE, parse, readable

MACHINE_TYPES = ("q35*", "pc-q35*")
"""What KubeVirt emulates on amd64 unless it is configured otherwise."""
_POLICIES = ("", "force", "require", "optional", "disable", "forbid")
_SERIAL = re.compile(r"[A-Za-z0-9_.+-]+")


def resource_causes(domain: Object, field: str) -> list[Cause]:
    """Requests and limits of memory and processors, and huge pages; `field` is that of the domain."""
    causes = _amount_causes(domain, f"{field}.resources", "memory")
    causes += _huge_page_causes(domain, field)
    machine = (domain.get("machine") or {}).get("type")
    if machine and not any(fnmatchcase(machine, known) for known in MACHINE_TYPES):
        where = f"{field}.machine.type"
        text = f"{where} is not supported: {machine} (allowed values: [{' '.join(MACHINE_TYPES)}])"
        causes.append(("FieldValueInvalid", where, text))
    return causes + _amount_causes(domain, f"{field}.resources", "cpu")


def _amount_causes(domain: Object, field: str, resource: str) -> list[Cause]:
    requested, limit = _amount(domain, "requests", resource), _amount(domain, "limits", resource)
    causes: list[Cause] = []
    for part, amount in (("requests", requested), ("limits", limit)):
        if amount < 0:
            where = f"{field}.{part}.{resource}"
            text = f"{where} '{_told(domain, part, resource)}': must be greater than or equal to 0."
            causes.append(("FieldValueInvalid", where, text))
    if 0 < limit < requested:
        one, other = (
            f"{field}.{part}.{resource} '{_told(domain, part, resource)}'" for part in ("requests", "limits")
        )
        causes.append(("FieldValueInvalid", f"{field}.requests.{resource}", f"{one} is greater than {other}"))
    return causes


def _huge_page_causes(domain: Object, field: str) -> list[Cause]:
    memory = domain.get("memory") or {}
    size = (memory.get("hugepages") or {}).get("pageSize")
    if not size:
        return []
    if not readable(size):
        where = f"{field}.memory.hugepages.pageSize"
        return [("FieldValueInvalid", where, f"{where} '{size}': {UNREADABLE}")]
    wanted = _amount(domain, "requests", "memory") or parse(memory.get("guest") or 0)
    if parse(size) > 0 and wanted % parse(size) == 0:
        return []
    where = f"{field}.resources.requests.memory"
    text = (f"{where} '{_told(domain, 'requests', 'memory')}' is not a multiple of the page size "
            f"{field}.memory.hugepages.pageSize '{size}'")
    return [("FieldValueInvalid", where, text)]


def _told(domain: Object, part: str, resource: str) -> str:
    """A quantity as it was written; 0 where there is none."""
    return str(((domain.get("resources") or {}).get(part) or {}).get(resource, "0"))


def _amount(domain: Object, part: str, resource: str) -> Decimal:
    return parse(_told(domain, part, resource))


def processor_causes(domain: Object, field: str) -> list[Cause]:
    """Features and sockets of the processor."""
    cpu = domain.get("cpu") or {}
    causes: list[Cause] = []
    for index, feature in enumerate(cpu.get("features") or []):
        policy = feature.get("policy", "")
        if policy not in _POLICIES:
            text = f"CPU feature {feature.get('name', '')} uses policy {policy} that is not supported."
            causes.append(("FieldValueNotSupported", f"{field}.cpu.features[{index}].policy", text))
    return causes + socket_causes(domain, field)


def socket_causes(domain: Object, field: str) -> list[Cause]:
    """More sockets than there may ever be; KubeVirt looks at this once for each VMI and once more for a VM."""
    cpu = domain.get("cpu") or {}
    most = cpu.get("maxSockets")
    if not most or cpu.get("sockets", 1) <= most:
        return []
    text = "Number of sockets in CPU topology is greater than the maximum sockets allowed"
    return [("FieldValueInvalid", f"{field}.cpu.sockets", text)]


def boot_order_causes(devices: Object, field: str) -> list[Cause]:
    """Two devices that are to be booted from at the same place; `field` is that of the devices."""
    causes: list[Cause] = []
    taken: set[int] = set()
    for devices_kind in ("disks", "interfaces"):
        for index, device in enumerate(devices.get(devices_kind) or []):
            order = device.get("bootOrder")
            if order in taken:
                where = f"{field}.{devices_kind}[{index}].bootOrder"
                text = f"Boot order for {where} already set for a different device."
                causes.append(("FieldValueInvalid", where, text))
            if order is not None:
                taken.add(order)
    return causes


def serial_causes(disk: Object, field: str) -> list[Cause]:
    serial = disk.get("serial")
    if not serial or _SERIAL.fullmatch(serial):
        return []
    text = f"{field} must be made up of the following characters [A-Za-z0-9_.+-], if specified"
    return [("FieldValueInvalid", f"{field}.serial", text)]


def firmware_causes(domain: Object, field: str) -> list[Cause]:
    """Kernels without an image, and boot loaders that exclude each other."""
    firmware = domain.get("firmware") or {}
    causes: list[Cause] = []
    container = (firmware.get("kernelBoot") or {}).get("container")
    if container is not None and not container.get("image"):
        where = f"{field}.firmware.kernelBoot.container"
        causes.append(("FieldValueRequired", f"{where}.image", f"{where} must be defined with an image"))
    loader = firmware.get("bootloader") or {}
    if loader.get("efi") is not None and loader.get("bios") is not None:
        where = f"{field}.firmware.bootloader"
        text = f"{where} has both EFI and BIOS configured, but they are mutually exclusive."
        causes.append(("FieldValueInvalid", where, text))
    managed = (domain.get("features") or {}).get("smm")
    secure = loader.get("efi") is not None and loader["efi"].get("secureBoot", True)
    if secure and (managed is None or managed.get("enabled") is False):
        text = f"{field} has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled."
        causes.append(("FieldValueInvalid", field, text))
    return causes
