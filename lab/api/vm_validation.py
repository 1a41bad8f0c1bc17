"""Checks of a VM's template that KubeVirt's validating webhook makes, with its texts."""

from __future__ import annotations

import base64
import binascii

from lab.api import names
from lab.api import vm_hardware_validation as hardware
from lab.api.errors import Cause, Object
from lab.api.vm_network_validation import network_causes

EVICTION_STRATEGIES = ("None", "LiveMigrate", "LiveMigrateIfPossible", "External")
START_STRATEGIES = ("Paused",)
_TARGETS = ("disk", "cdrom", "lun")
_BUSES = ("virtio", "scsi", "sata", "usb")
_CLOUD_INIT_LIMIT = 2048
"""Bytes of inline user data that KubeVirt accepts; more must come from a Secret."""
_PROBES = ("tcpSocket", "exec", "httpGet", "guestAgentPing")
_DATA = ("userDataBase64", "networkDataBase64")


def template_causes(spec: Object, field: str) -> list[Cause]:
    """The invalid fields of a VMI spec that stands at `field`."""
    domain, devices = spec["domain"], spec["domain"]["devices"]
    disks, volumes = devices.get("disks") or [], spec.get("volumes") or []
    causes = names.host_causes(spec, field) + hardware.resource_causes(domain, f"{field}.domain")
    causes += hardware.processor_causes(domain, f"{field}.domain")
    causes += _option_causes(spec, "startStrategy", START_STRATEGIES, field)
    causes += network_causes(devices.get("interfaces") or [], spec.get("networks") or [], field)
    causes += _duplicates(disks, f"{field}.domain.devices.disks") + _duplicates(volumes, f"{field}.volumes")
    volume_names = {volume.get("name") for volume in volumes}
    for index, disk in enumerate(disks):
        causes += _disk_causes(disk, f"{field}.domain.devices.disks[{index}]", volume_names)
    causes += hardware.boot_order_causes(devices, f"{field}.domain.devices")
    for probe in ("readinessProbe", "livenessProbe"):
        causes += _probe_causes(spec.get(probe), f"{field}.{probe}")
    causes += hardware.firmware_causes(domain, f"{field}.domain")
    for index, volume in enumerate(volumes):
        causes += _volume_causes(volume, f"{field}.volumes[{index}]")
    causes += _option_causes(spec, "evictionStrategy", EVICTION_STRATEGIES, field)
    if devices.get("hostDevices"):
        text = "Host Devices feature gate is not enabled in kubevirt-config"
        causes.append(("FieldValueInvalid", f"{field}.HostDevices", text))
    return causes


def _option_causes(spec: Object, name: str, options: tuple[str, ...], field: str) -> list[Cause]:
    chosen, where = spec.get(name), f"{field}.{name}"
    if chosen is None or chosen in options:
        return []
    return [("FieldValueInvalid", where, f"{where} is set with an unrecognized option: {chosen}")]


def _probe_causes(probe: Object | None, field: str) -> list[Cause]:
    if probe is None:
        return []
    handlers = sum(probe.get(handler) is not None for handler in _PROBES)
    if handlers == 0:
        text = (f"either {field}.tcpSocket, {field}.exec or {field}.httpGet must be set if a {field} is specified")
        return [("FieldValueRequired", field, text)]
    if handlers > 1:
        return [("FieldValueInvalid", field, f"{field} must have exactly one probe type set")]
    return []


def _duplicates(items: list[Object], field: str) -> list[Cause]:
    seen: dict[object, int] = {}
    causes: list[Cause] = []
    for index, item in enumerate(items):
        name = item.get("name")
        if name in seen:
            text = f"{field}[{index}] and {field}[{seen[name]}] must not have the same Name."
            causes.append(("FieldValueInvalid", f"{field}[{index}].name", text))
        seen.setdefault(name, index)
    return causes


def _disk_causes(disk: Object, field: str, volumes: set[object]) -> list[Cause]:
    causes: list[Cause] = []
    if disk.get("name") not in volumes:
        causes.append(("FieldValueInvalid", f"{field}.name", f"{field}.Name '{disk.get('name')}' not found."))
    targets = [target for target in _TARGETS if target in disk]
    if len(targets) > 1:
        causes.append(("FieldValueInvalid", field, f"{field} can only have a single target type defined"))
    for target in targets:
        bus = (disk[target] or {}).get("bus")
        if bus and bus not in _BUSES:
            text = f"{field} is set with an unrecognized bus {bus}, must be one of: [{' '.join(_BUSES)}]"
            causes.append(("FieldValueInvalid", f"{field}.{target}.bus", text))
    if disk.get("bootOrder", 1) < 1:
        text = f"{field} must have a boot order > 0, if supplied"
        causes.append(("FieldValueInvalid", f"{field}.bootOrder", text))
    if disk.get("cache", "none") not in ("none", "writethrough", "writeback"):
        text = f"{field}.cache has invalid value {disk['cache']}"
        causes.append(("FieldValueInvalid", f"{field}.cache", text))
    return causes + hardware.serial_causes(disk, field)


def _volume_causes(volume: Object, field: str) -> list[Cause]:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if len(sources) != 1:
        return [("FieldValueInvalid", field, f"{field} must have exactly one source type set")]
    source = sources[0]
    if source == "hostDisk":
        return [("FieldValueInvalid", field, "HostDisk feature gate is not enabled")]
    if source not in ("cloudInitNoCloud", "cloudInitConfigDrive"):
        return []
    return _cloud_init_causes(volume[source], f"{field}.{source}", source)


def _cloud_init_causes(data: Object, field: str, source: str) -> list[Cause]:
    if not any(data.get(key) for key in (
        "userData", "userDataBase64", "secretRef", "networkData", "networkDataBase64", "networkDataSecretRef",
    )):
        text = f"{field} must have at least one userdatasource or one networkdatasource set."
        return [("FieldValueInvalid", field, text)]
    if len((data.get("userData") or "").encode()) > _CLOUD_INIT_LIMIT:
        text = (f"{field} userdata exceeds {_CLOUD_INIT_LIMIT} byte limit. Should use UserDataSecretRef for larger "
                "data.")
        return [("FieldValueInvalid", field, text)]
    return [
        ("FieldValueInvalid", f"{field}.{key}", f"{field}.{key}.{source}.{key} is not a valid base64 value.")
        for key in _DATA if not _decodes(data.get(key) or "")
    ]


def _decodes(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True
