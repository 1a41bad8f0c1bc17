"""How long migrations and instances took to reach their phases, as virt-controller's histograms tell it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

from lab.client import Object
from lab.controllers.runtime import Controller, Reconcile, itself
from lab.kinds import MIGRATION, VIRTUAL_MACHINE_INSTANCE, Kind
from lab.machinery.cluster import Cluster
from lab.machinery.objects import dig, parse_time, uid

BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 90, 120, 180, 300, 600, 1200, 1800, 3600)


class Transitions:
    """Observes each phase of each object once; what it saw before a restart of the process is lost."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counted: dict[str, int] = {}
        self._migration = Histogram(
            "kubevirt_vmi_migration_phase_transition_time_from_creation_seconds",
            "Histogram of VM migration phase transitions duration from creation time in seconds.",
            ["phase"], registry=registry, buckets=BUCKETS,
        )
        self._creation = Histogram(
            "kubevirt_vmi_phase_transition_time_from_creation_seconds",
            "Histogram of VM phase transitions duration from creation time in seconds.",
            ["phase"], registry=registry, buckets=BUCKETS,
        )
        self._between = Histogram(
            "kubevirt_vmi_phase_transition_time_seconds",
            "Histogram of VM phase transitions duration between different phases in seconds.",
            ["phase", "last_phase"], registry=registry, buckets=BUCKETS,
        )

    def controllers(self) -> tuple[Controller, Controller]:
        return (
            Controller("migration-times", self._reconciler(MIGRATION), ((MIGRATION, itself),)),
            Controller("vmi-times", self._reconciler(VIRTUAL_MACHINE_INSTANCE), ((VIRTUAL_MACHINE_INSTANCE, itself),)),
        )

    def _reconciler(self, kind: Kind) -> Reconcile:
        async def reconcile(cluster: Cluster, where: str) -> float | None:
            item = cluster.get(kind, where)
            if item is not None:
                self.observe(kind, item)
            return None
        return reconcile

    def observe(self, kind: Kind, item: Object) -> None:
        """Count the phases that were not yet counted for this object."""
        stamps = dig(item, "status", "phaseTransitionTimestamps", default=[])
        begin = self._counted.get(uid(item), 0)
        self._counted[uid(item)] = len(stamps)
        for at in range(begin, len(stamps)):
            phase = stamps[at]["phase"]
            since = _seconds(item["metadata"].get("creationTimestamp"), stamps[at]["phaseTransitionTimestamp"])
            (self._migration if kind is MIGRATION else self._creation).labels(phase).observe(since)
            if kind is not MIGRATION and at:
                before = stamps[at - 1]
                step = _seconds(before["phaseTransitionTimestamp"], stamps[at]["phaseTransitionTimestamp"])
                self._between.labels(phase, before["phase"]).observe(step)


def _seconds(begin: str | None, end: str | None) -> float:
    first, last = parse_time(begin), parse_time(end)
    return max((last - first).total_seconds(), 0.0) if first and last else 0.0
