"""Checks of a VM's interfaces and networks, with the texts of KubeVirt's webhook."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.api.errors import Cause, Object

_BINDINGS = ("bridge", "masquerade", "sriov", "passtBinding", "binding")
_MODELS = ("", "e1000", "e1000e", "igb", "ne2k_pci", "pcnet", "rtl8139", "virtio")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
_NAME = re.compile(r"[A-Za-z0-9-_]+")
_LAST_PORT = 65535


def network_causes(interfaces: list[Object], networks: list[Object], field: str) -> list[Cause]:
    """What does not fit between interfaces and networks, and within each; `field` is that of the VMI's spec."""
    where = f"{field}.domain.devices.interfaces"
    names = {network.get("name") for network in networks}
    pod_networks = [network.get("name") for network in networks if "pod" in network]
    causes: list[Cause] = []
    if len(pod_networks) > 1:
        text = f"more than one interface is connected to a pod network in {field}.interfaces"
        causes.append(("FieldValueDuplicate", f"{field}.interfaces", text))
    for index, interface in enumerate(interfaces):
        name, place = interface.get("name"), f"{where}[{index}]"
        if "masquerade" in interface and name not in pod_networks:
            text = "Masquerade interface only implemented with pod network"
            causes.append(("FieldValueInvalid", f"{place}.name", text))
        if name not in names:
            causes.append(("FieldValueInvalid", f"{place}.name", f"{place}.name '{name}' not found."))
        if name in {other.get("name") for other in interfaces[:index]}:
            text = "Only one interface can be connected to one specific network"
            causes.append(("FieldValueDuplicate", f"{place}.name", text))
        causes += _interface_causes(interface, place)
    known = {interface.get("name") for interface in interfaces}
    for index, network in enumerate(networks):
        if network.get("name") not in known:
            place = f"{field}.networks[{index}].name"
            causes.append(("FieldValueRequired", place, f"{place} '{network.get('name')}' not found."))
    return causes


def _interface_causes(interface: Object, field: str) -> Iterator[Cause]:
    """What is wrong with one interface in itself."""
    name = interface.get("name")
    if sum(binding in interface for binding in _BINDINGS) != 1:
        text = f"logical {name} interface must have exactly one binding method or binding plugin"
        yield "FieldValueInvalid", field, text
    if not _NAME.fullmatch(str(name or "")):
        text = ("Network interface name can only contain alphabetical characters, numbers, dashes (-) or underscores "
                "(_)")
        yield "FieldValueInvalid", f"{field}.name", text
    model = interface.get("model") or ""
    if model not in _MODELS:
        text = f"interface {field}.name uses model {model} that is not supported."
        yield "FieldValueNotSupported", f"{field}.model", text
    mac = interface.get("macAddress")
    if mac and not _MAC.fullmatch(mac):
        text = f"interface {field}.name has malformed MAC address ({mac})."
        yield "FieldValueInvalid", f"{field}.macAddress", text
    for index, port in enumerate(interface.get("ports") or []):
        if not 0 <= port.get("port", 0) <= _LAST_PORT:
            yield "FieldValueInvalid", f"{field}.ports[{index}].port", "Port field must be in range 0 < x < 65536."
