"""Checks of a VM's template that KubeVirt's validating webhook makes, with its texts."""

from __future__ import annotations

import re

from lab.api.errors import Cause, Object

EVICTION_STRATEGIES = ("None", "LiveMigrate", "LiveMigrateIfPossible", "External")
_TARGETS = ("disk", "cdrom", "lun")
_BUSES = ("virtio", "scsi", "sata", "usb")
_BINDINGS = ("bridge", "masquerade", "sriov", "passtBinding", "binding")
_CLOUD_INIT_LIMIT = 2048
"""Bytes of inline user data that KubeVirt accepts; more must come from a Secret."""
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")


def template_causes(spec: Object, field: str) -> list[Cause]:
    """The invalid fields of a VMI spec that stands at `field`."""
    devices = spec["domain"]["devices"]
    disks, volumes = devices.get("disks") or [], spec.get("volumes") or []
    causes = _duplicates(disks, f"{field}.domain.devices.disks") + _duplicates(volumes, f"{field}.volumes")
    names = {volume.get("name") for volume in volumes}
    for index, disk in enumerate(disks):
        causes += _disk_causes(disk, f"{field}.domain.devices.disks[{index}]", names)
    for index, volume in enumerate(volumes):
        causes += _volume_causes(volume, f"{field}.volumes[{index}]")
    causes += _network_causes(devices.get("interfaces") or [], spec.get("networks") or [], field)
    strategy = spec.get("evictionStrategy")
    if strategy is not None and strategy not in EVICTION_STRATEGIES:
        where = f"{field}.evictionStrategy"
        causes.append(("FieldValueInvalid", where, f"{where} is set with an unrecognized option: {strategy}"))
    return causes


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
    return causes


def _volume_causes(volume: Object, field: str) -> list[Cause]:
    sources = [key for key, value in volume.items() if key != "name" and value is not None]
    if len(sources) != 1:
        return [("FieldValueInvalid", field, f"{field} must have exactly one source type set")]
    source = sources[0]
    if source not in ("cloudInitNoCloud", "cloudInitConfigDrive"):
        return []
    where, data = f"{field}.{source}", volume[source]
    if not any(data.get(key) for key in (
        "userData", "userDataBase64", "secretRef", "networkData", "networkDataBase64", "networkDataSecretRef",
    )):
        text = f"{where} must have at least one userdatasource or one networkdatasource set."
        return [("FieldValueInvalid", where, text)]
    if len((data.get("userData") or "").encode()) > _CLOUD_INIT_LIMIT:
        text = (f"{where} userdata exceeds {_CLOUD_INIT_LIMIT} byte limit. Should use UserDataSecretRef for larger "
                "data.")
        return [("FieldValueInvalid", where, text)]
    return []


def _network_causes(interfaces: list[Object], networks: list[Object], field: str) -> list[Cause]:
    where = f"{field}.domain.devices.interfaces"
    network_names = {network.get("name") for network in networks}
    pod_networks = {network.get("name") for network in networks if "pod" in network}
    interface_names = {interface.get("name") for interface in interfaces}
    causes: list[Cause] = []
    for index, interface in enumerate(interfaces):
        name = interface.get("name")
        if "masquerade" in interface and name not in pod_networks:
            text = "Masquerade interface only implemented with pod network"
            causes.append(("FieldValueInvalid", f"{where}[{index}].name", text))
        if name not in network_names:
            causes.append(("FieldValueInvalid", f"{where}[{index}].name", f"{where}[{index}].name '{name}' not found."))
        if sum(binding in interface for binding in _BINDINGS) != 1:
            text = f"logical {name} interface must have exactly one binding method or binding plugin"
            causes.append(("FieldValueInvalid", f"{where}[{index}]", text))
        mac = interface.get("macAddress")
        if mac and not _MAC.fullmatch(mac):
            text = f"interface {where}[{index}].name has malformed MAC address ({mac})."
            causes.append(("FieldValueInvalid", f"{where}[{index}].macAddress", text))
    for index, network in enumerate(networks):
        if network.get("name") not in interface_names:
            place = f"{field}.networks[{index}].name"
            causes.append(("FieldValueRequired", place, f"{place} '{network.get('name')}' not found."))
    return causes
