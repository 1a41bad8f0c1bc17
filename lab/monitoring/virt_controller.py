"""virt-controller's metrics, under the names and labels of KubeVirt v1.9.0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from lab.client import Object
from lab.controllers import kubevirt
from lab.controllers.instances import current_pod, launcher_pods
from lab.controllers.launcher import OVERHEAD_BYTES
from lab.kinds import MIGRATION, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE
from lab.machinery.cluster import Cluster
from lab.machinery.objects import condition_true, dig, name, namespace, parse_time, phase, uid

RUNNING_PHASES = ("Scheduled", "PreparingTarget", "TargetReady", "Running")
STATUS_GROUPS: Mapping[str, tuple[str, ...]] = {
    "starting": ("Provisioning", "Starting", "WaitingForVolumeBinding"),
    "running": ("Running",),
    "migrating": ("Migrating",),
    "non_running": ("Paused", "Stopped", "Stopping", "Terminating"),
}
"""printableStatus by group; every other one is an error."""

_VMI_INFO = (
    "node", "namespace", "name", "phase", "os", "workload", "flavor", "instance_type", "preference",
    "guest_os_kernel_release", "guest_os_machine", "guest_os_arch", "guest_os_name", "guest_os_version_id",
    "evictable", "outdated", "vmi_pod",
)
_VM_INFO = (
    "name", "namespace", "os", "workload", "flavor", "machine_type", "instance_type", "preference", "status",
    "status_group",
)


def gauge(title: str, text: str, labels: Iterable[str], rows: Iterable[tuple[Mapping[str, str], float]]) -> Metric:
    """One family; a label that a row does not name is empty."""
    names = list(labels)
    family = GaugeMetricFamily(title, text, labels=names)
    for given, value in rows:
        family.add_metric([given.get(label, "") for label in names], value)
    return family


def collect(cluster: Cluster) -> Iterator[Metric]:
    """Every family, from the cached objects as they are now."""
    machines = cluster.list(VIRTUAL_MACHINE)
    instances = cluster.list(VIRTUAL_MACHINE_INSTANCE)
    migrations = cluster.list(MIGRATION)
    yield from _migration_counts(migrations)
    yield from _migration_results(migrations)
    yield from _migration_times(instances, migrations)
    yield from _instances(cluster, instances)
    yield from _machines(machines)
    for title, text in (
        ("kubevirt_virt_controller_leading_status", "Indication for an operating virt-controller."),
        ("kubevirt_virt_controller_ready_status", "Indication for a virt-controller that is ready to take the lead."),
    ):
        yield gauge(title, text, (), [({}, 1.0)])
    emulated = cluster.config.accelerator != "kvm"
    yield gauge(
        "kubevirt_configuration_emulation_enabled", "Indicates whether the Software Emulation is enabled.", (),
        [({}, float(emulated))],
    )


def _migration_counts(migrations: list[Object]) -> Iterator[Metric]:
    groups = {
        "pending": ("Pending",), "scheduling": ("Scheduling",), "running": RUNNING_PHASES, "unset": ("",),
    }
    for group, phases in groups.items():
        count = sum(phase(migration) in phases for migration in migrations)
        text = f"Number of current {group} migrations."
        yield gauge(f"kubevirt_vmi_migrations_in_{group}_phase", text, (), [({}, float(count))])


def _migration_results(migrations: list[Object]) -> Iterator[Metric]:
    for title, wanted in (("succeeded", "Succeeded"), ("failed", "Failed")):
        rows = [
            ({"namespace": namespace(entry), "vmi": entry["spec"]["vmiName"], "vmim": name(entry)}, 1.0)
            for entry in migrations if phase(entry) == wanted
        ]
        text = f"Indicates if the VMI migration {title}."
        yield gauge(f"kubevirt_vmi_migration_{title}", text, ("namespace", "vmi", "vmim"), rows)


def _migration_times(instances: list[Object], migrations: list[Object]) -> Iterator[Metric]:
    names = {uid(migration): name(migration) for migration in migrations}
    starts, ends = [], []
    for instance in instances:
        state = dig(instance, "status", "migrationState", default={})
        given = {**_identity(instance), "migration_name": names.get(state.get("migrationUid", ""), "")}
        start, end = parse_time(state.get("startTimestamp")), parse_time(state.get("endTimestamp"))
        if start:
            starts.append((given, start.timestamp()))
        if end:
            result = ("failed" if state.get("failed") else "succeeded") if state.get("completed") else ""
            ends.append(({**given, "status": result}, end.timestamp()))
    labels = ("migration_name", "name", "namespace", "node")
    text = "The time at which the migration"
    yield gauge("kubevirt_vmi_migration_start_time_seconds", f"{text} started.", labels, starts)
    yield gauge("kubevirt_vmi_migration_end_time_seconds", f"{text} ended.", (*labels, "status"), ends)


def _identity(instance: Object) -> dict[str, str]:
    node = str(dig(instance, "status", "nodeName", default=""))
    return {"name": name(instance), "namespace": namespace(instance), "node": node}


def evictable(cluster: Cluster, instance: Object) -> bool:
    """False when the strategy asks for migration and the instance is not known to be migratable."""
    migrates = kubevirt.eviction_strategy(cluster, instance) in kubevirt.MIGRATING_STRATEGIES
    return not migrates or condition_true(instance, "LiveMigratable")


def _instances(cluster: Cluster, instances: list[Object]) -> Iterator[Metric]:
    infos, stuck, addresses, overheads = [], [], [], []
    for instance in instances:
        who = _identity(instance)
        infos.append(({**who, **_instance_info(cluster, instance)}, 1.0))
        stuck.append((who, float(not evictable(cluster, instance))))
        overheads.append((who, float(OVERHEAD_BYTES)))
        interfaces = dig(instance, "status", "interfaces", default=[])
        addresses += [({**who, **_address(interface)}, 1.0) for interface in interfaces]
    yield gauge("kubevirt_vmi_info", "Information about VirtualMachineInstances.", _VMI_INFO, infos)
    text = "Indication for a VirtualMachine that its eviction strategy is set to Live Migration but is not migratable."
    yield gauge("kubevirt_vmi_non_evictable", text, ("name", "namespace", "node"), stuck)
    labels = ("address", "interface_name", "name", "namespace", "node", "type", "vnic_name")
    yield gauge("kubevirt_vmi_status_addresses", "The addresses of a VirtualMachineInstance.", labels, addresses)
    text = "Estimation of the memory amount required for virt-launcher's infrastructure components."
    yield gauge("kubevirt_vmi_launcher_memory_overhead_bytes", text, ("name", "namespace"), overheads)


def _instance_info(cluster: Cluster, instance: Object) -> dict[str, str]:
    guest = dig(instance, "status", "guestOSInfo", default={})
    pod = current_pod(instance, launcher_pods(cluster, instance))
    return {
        "phase": phase(instance).lower(), "evictable": str(evictable(cluster, instance)).lower(), "outdated": "false",
        "vmi_pod": name(pod) if pod else "", "guest_os_kernel_release": guest.get("kernelRelease", ""),
        "guest_os_name": guest.get("name", ""), "guest_os_version_id": guest.get("versionId", ""),
        "guest_os_arch": guest.get("machine", ""),
        "guest_os_machine": str(dig(instance, "status", "machine", "type", default="")),
    }


def _address(interface: Object) -> dict[str, str]:
    address = str(interface.get("ipAddress", ""))
    return {
        "address": address, "type": "ExternalInterface" if address else "SystemInterface",
        "vnic_name": str(interface.get("name", "")), "interface_name": str(interface.get("interfaceName", "")),
    }


def status_group(status: str) -> str:
    return next((group for group, members in STATUS_GROUPS.items() if status in members), "error")


def _machines(machines: list[Object]) -> Iterator[Metric]:
    infos: list[tuple[dict[str, str], float]] = []
    times: dict[str, list[tuple[dict[str, str], float]]] = {group: [] for group in (*STATUS_GROUPS, "error")}
    created = []
    for machine in machines:
        who = {"name": name(machine), "namespace": namespace(machine)}
        status = str(dig(machine, "status", "printableStatus", default="Unknown"))
        group = status_group(status)
        kind = str(dig(machine, "spec", "template", "spec", "domain", "machine", "type", default=""))
        infos.append(({**who, "machine_type": kind, "status": status.lower(), "status_group": group}, 1.0))
        since = _last_transition(machine)
        for each, rows in times.items():
            rows.append((who, since if each == group else 0.0))
        made = parse_time(machine["metadata"].get("creationTimestamp"))
        created.append((who, made.timestamp() if made else 0.0))
    labels = ("name", "namespace")
    yield gauge("kubevirt_vm_info", "Information about Virtual Machines.", _VM_INFO, infos)
    text = "Virtual Machine creation timestamp."
    yield gauge("kubevirt_vm_create_date_timestamp_seconds", text, labels, created)
    for group, rows in times.items():
        text = f"Virtual Machine last transition timestamp to {group} status."
        yield gauge(f"kubevirt_vm_{group}_status_last_transition_timestamp_seconds", text, labels, rows)


def _last_transition(machine: Object) -> float:
    stamps = (parse_time(entry.get("lastTransitionTime")) for entry in dig(machine, "status", "conditions", default=[]))
    return max((moment.timestamp() for moment in stamps if moment), default=0.0)
