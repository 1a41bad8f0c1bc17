"""This node's KubeVirt metrics under virt-handler's names."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lab.agent.context import Node
from lab.agent.launcher import Launcher
from lab.kinds import VIRTUAL_MACHINE_INSTANCE
from lab.machinery.objects import dig, parse_time

LABELS = ("node", "namespace", "name")
PREFIX = "kubevirt_vmi_"
EMULATION = "kubevirt_configuration_emulation_enabled"


def render(node: Node) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_NodeCollector(node))
    return generate_latest(registry)


class _NodeCollector(Collector):
    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        running = [entry for entry in self._node.launchers.values() if entry.running]
        yield from self._process(running)
        yield from self._network(running)
        yield from self._migrations(running)
        yield from self._migration_times()
        emulated = GaugeMetricFamily(EMULATION, "Indicates whether the Software Emulation is enabled.")
        emulated.add_metric([], float(self._node.config.accelerator != "kvm"))
        yield emulated

    def _labels(self, launcher: Launcher) -> list[str]:
        return [self._node.name, launcher.namespace, launcher.vmi]

    def _process(self, running: list[Launcher]) -> Iterator[Metric]:
        domain = _gauge("memory_domain_bytes", "The amount of memory in bytes allocated to the domain.")
        resident = _gauge("memory_resident_bytes", "Resident set size of the process running the domain.")
        usage = _counter("cpu_usage_seconds", "Total CPU time spent in all modes.")
        system = _counter("cpu_system_usage_seconds", "Total CPU time spent in system mode.")
        user = _counter("cpu_user_usage_seconds", "Total CPU time spent in user mode.")
        for launcher in running:
            if launcher.domain is None:
                continue
            try:
                process = psutil.Process(launcher.domain.pid)
                times, memory = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue
            where = self._labels(launcher)
            domain.add_metric(where, launcher.domain.spec.memory_bytes)
            resident.add_metric(where, memory.rss)
            usage.add_metric(where, times.user + times.system)
            system.add_metric(where, times.system)
            user.add_metric(where, times.user)
        yield from (domain, resident, usage, system, user)

    def _network(self, running: list[Launcher]) -> Iterator[Metric]:
        counters = psutil.net_io_counters(pernic=True)
        labels = (*LABELS, "interface")
        # What the tap has received, the guest has sent.
        fields = {
            "network_receive_bytes": "bytes_sent", "network_transmit_bytes": "bytes_recv",
            "network_receive_packets": "packets_sent", "network_transmit_packets": "packets_recv",
            "network_receive_packets_dropped": "dropout", "network_transmit_packets_dropped": "dropin",
        }
        for metric, attribute in fields.items():
            family = CounterMetricFamily(PREFIX + metric, f"Total {metric.replace('_', ' ')}.", labels=labels)
            for launcher in running:
                tap = counters.get(launcher.domain.tap) if launcher.domain else None
                if tap:
                    family.add_metric([*self._labels(launcher), "default"], getattr(tap, attribute))
            yield family

    def _migrations(self, running: list[Launcher]) -> Iterator[Metric]:
        fields = {
            "migration_data_processed_bytes": "processed", "migration_data_remaining_bytes": "remaining",
            "migration_dirty_memory_rate_bytes": "dirty_rate", "migration_memory_transfer_rate_bytes": "transfer_rate",
        }
        leaving = [(entry, entry.departure) for entry in running if entry.departure]
        for metric, attribute in fields.items():
            family = _gauge(metric, f"Live migration: {attribute.replace('_', ' ')}.")
            for launcher, departure in leaving:
                family.add_metric(self._labels(launcher), getattr(departure.progress, attribute))
            yield family
        total = _counter("migration_data_bytes", "Total number of bytes of guest data to be migrated.")
        for launcher, departure in leaving:
            total.add_metric(self._labels(launcher), departure.progress.total)
        yield total

    def _migration_times(self) -> Iterator[Metric]:
        labels = (*LABELS, "migration_name")
        start = GaugeMetricFamily(
            PREFIX + "migration_start_time_seconds", "The time at which the migration started.", labels=labels
        )
        end = GaugeMetricFamily(
            PREFIX + "migration_end_time_seconds", "The time at which the migration ended.", labels=(*labels, "status")
        )
        for vmi in self._node.cluster.list(VIRTUAL_MACHINE_INSTANCE):
            state = dig(vmi, "status", "migrationState")
            if not state or dig(vmi, "status", "nodeName") != self._node.name:
                continue
            where = [self._node.name, vmi["metadata"]["namespace"], vmi["metadata"]["name"], state["migrationUid"]]
            started, ended = parse_time(state.get("startTimestamp")), parse_time(state.get("endTimestamp"))
            if started:
                start.add_metric(where, started.timestamp())
            if ended:
                outcome = "failed" if state.get("failed") else "succeeded"
                end.add_metric([*where, outcome], ended.timestamp())
        yield from (start, end)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=LABELS)


def _counter(name: str, text: str) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=LABELS)
