"""What virt-handler writes about a running VMI: pure changes of the object, and the rules for live migration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.agent.domain_spec import DiskKind, DomainSpec
from lab.client import Object
from lab.machinery.objects import dig, remove_condition, set_condition, set_phase

BRIDGE_ANNOTATION = "kubevirt.io/allow-pod-bridge-network-live-migration"
MACHINE_TYPE = "pc-q35-7.2"
MIGRATION_STRATEGIES = ("LiveMigrate", "LiveMigrateIfPossible")


@dataclass(frozen=True, slots=True)
class Migratable:
    """Whether a VMI can move, and if not why, in KubeVirt's words."""

    reason: str = ""
    message: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def migratable(vmi: Object, claims: Mapping[str, Object]) -> Migratable:
    """Interfaces first, then disks: the first reason wins (calculateLiveMigrationCondition of virt-handler)."""
    refusals = (_interfaces_refusal(vmi), _disks_refusal(vmi, claims))
    return next((refusal for refusal in refusals if refusal is not None), Migratable())


def _interfaces_refusal(vmi: Object) -> Migratable | None:
    allowed = BRIDGE_ANNOTATION in dig(vmi, "metadata", "annotations", default={})
    pod_networks = {net["name"] for net in vmi["spec"].get("networks", []) if "pod" in net}
    for interface in dig(vmi, "spec", "domain", "devices", "interfaces", default=[]):
        if interface["name"] in pod_networks and "bridge" in interface and not allowed:
            return Migratable(
                "InterfaceNotLiveMigratable",
                "cannot migrate VMI which does not use masquerade or a migratable plugin to connect to the pod network",
            )
    return None


def _disks_refusal(vmi: Object, claims: Mapping[str, Object]) -> Migratable | None:
    for volume in vmi["spec"].get("volumes", []):
        claim = dig(volume, "persistentVolumeClaim", "claimName")
        if claim and "ReadWriteMany" not in dig(claims.get(claim), "spec", "accessModes", default=[]):
            return Migratable(
                "DisksNotLiveMigratable",
                f"cannot migrate VMI: PVC {claim} is not shared, live migration requires that all PVCs must be shared "
                "(using ReadWriteMany access mode)",
            )
    return None


def migration_method(spec: DomainSpec) -> str:
    """As KubeVirt names it: a disk that is no claim makes it BlockMigration.

    In the lab such disks are read-only files that every node sees, so that none is copied in either case.
    """
    return "LiveMigration" if all(disk.kind is DiskKind.CLAIM for disk in spec.disks) else "BlockMigration"


def started(vmi: Object, spec: DomainSpec, can_move: Migratable, claims: Mapping[str, Object]) -> None:
    """The VMI's domain runs, on disks of these claims by name."""
    status = vmi["status"]
    set_phase(vmi, "Running")
    memory = dig(vmi, "spec", "domain", "memory", "guest", default=f"{spec.memory_bytes >> 20}Mi")
    status.setdefault("memory", {}).update(guestAtBoot=memory, guestCurrent=memory, guestRequested=memory)
    status.update(
        machine={"type": MACHINE_TYPE}, currentCPUTopology={"cores": spec.vcpus}, guestOSInfo={},
        migrationTransport="Unix", selinuxContext="none", migrationMethod=migration_method(spec),
        interfaces=[_interface(vmi, spec)], volumeStatus=_volumes(spec, claims),
    )
    if can_move:
        set_condition(vmi, "LiveMigratable", "True")
        set_condition(vmi, "StorageLiveMigratable", "True")
    else:
        set_condition(vmi, "LiveMigratable", "False", can_move.reason, can_move.message)


def guest_agent(vmi: Object, connected: bool, os_info: Mapping[str, Any] | None, interface_name: str = "") -> None:
    """AgentConnected is only ever there with status True; without a connection the condition is removed."""
    if not connected:
        remove_condition(vmi, "AgentConnected")
        return
    set_condition(vmi, "AgentConnected", "True")
    if os_info:
        vmi["status"]["guestOSInfo"] = guest_os(os_info)
    for interface in vmi["status"].get("interfaces", []):
        interface["infoSource"] = "domain, guest-agent"
        if interface_name:
            interface["interfaceName"] = interface_name


def guest_os(info: Mapping[str, Any]) -> Object:
    """The guest agent's guest-get-osinfo in the fields of VMI.status.guestOSInfo."""
    fields = {
        "id": "id", "name": "name", "version": "version", "versionId": "version-id", "prettyName": "pretty-name",
        "kernelRelease": "kernel-release", "kernelVersion": "kernel-version", "machine": "machine",
    }
    return {ours: info[theirs] for ours, theirs in fields.items() if info.get(theirs)}


def paused(vmi: Object, by_user: bool) -> None:
    if by_user:
        set_condition(vmi, "Paused", "True", "PausedByUser", "VMI was paused by user")
    else:
        remove_condition(vmi, "Paused")


def _interface(vmi: Object, spec: DomainSpec) -> Object:
    name = dig(vmi, "spec", "domain", "devices", "interfaces", 0, "name", default="default")
    return {
        "infoSource": "domain", "ipAddress": spec.ip, "ipAddresses": [spec.ip], "linkState": "up", "mac": spec.mac,
        "name": name, "podInterfaceName": "eth0", "queueCount": 1,
    }


def _volumes(spec: DomainSpec, claims: Mapping[str, Object]) -> list[Object]:
    result = []
    for number, disk in enumerate(spec.disks):
        entry: Object = {"name": disk.name, "target": f"vd{chr(ord('a') + number)}"}
        if disk.kind is DiskKind.CLAIM:
            mode = dig(claims.get(disk.source), "spec", "volumeMode", default="Filesystem")
            entry["persistentVolumeClaimInfo"] = {"claimName": disk.source, "volumeMode": mode}
        result.append(entry)
    return result
