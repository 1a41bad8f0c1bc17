"""A MigrationPolicy: other limits for the live migrations of some virtual machines, for as long as it exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from drainproof.api import MIGRATION_POLICIES, Cluster, Object
from drainproof.journal import Journal

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""The label with which Kubernetes names each namespace."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What may differ from the cluster's own settings; None: it does not.

    It selects the instances of one namespace, so that it touches nobody else's.
    """

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the instances; none: all of the namespace."""
    bandwidth: str | None = None
    """Bytes per second, as a Kubernetes quantity such as 64Mi."""
    auto_converge: bool | None = None
    post_copy: bool | None = None
    completion_seconds_per_gib: int | None = None
    max_downtime_ms: int | None = None
    disruption: bool | None = None
    """Whether the guest may be paused when the migration does not converge in time."""

    @property
    def path(self) -> str:
        return MIGRATION_POLICIES.path(name=self.name)

    def manifest(self) -> Object:
        wanted = {
            "bandwidthPerMigration": self.bandwidth, "allowAutoConverge": self.auto_converge,
            "allowPostCopy": self.post_copy, "completionTimeoutPerGiB": self.completion_seconds_per_gib,
            "maxDowntimeMs": self.max_downtime_ms, "allowWorkloadDisruption": self.disruption,
        }
        selectors: Object = {"namespaceSelector": {NAMESPACE_NAME: self.namespace}}
        if self.labels:
            selectors["virtualMachineInstanceSelector"] = dict(self.labels)
        overrides = {key: value for key, value in wanted.items() if value is not None}
        return {"metadata": {"name": self.name}, "spec": {"selectors": selectors, **overrides}}

    def apply(self, cluster: Cluster, journal: Journal) -> None:
        """Create it; it is outside of the run's namespaces, so the journal knows first."""
        journal.creating(self.path)
        # Never applied: of a policy that is there already, limits that this one does not name would stay.
        cluster.create(MIGRATION_POLICIES, self.manifest())

    def withdraw(self, cluster: Cluster, journal: Journal) -> None:
        cluster.remove(self.path)
        journal.removed(self.path)
