"""A virtual machine, in virtctl's words, and what its instance says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drainproof.api import INSTANCES, MACHINES, Cluster, Object
from drainproof.followed import Followed, Reads
from drainproof.wait import Deadline, wait

LAUNCHER = "kubevirt.io=virt-launcher"
NAME_LABEL = "vm.kubevirt.io/name"


@dataclass(frozen=True, slots=True)
class Instance:
    """A running VirtualMachineInstance as last read."""

    name: str
    uid: str
    phase: str
    node: str
    address: str
    evacuation_node: str
    conditions: dict[str, Any]
    migration: dict[str, Any] | None

    @classmethod
    def of(cls, vmi: Object) -> Instance:
        """Read a VMI object; what it does not say is empty."""
        status = vmi.get("status", {})
        interfaces = status.get("interfaces") or [{}]
        return cls(
            name=vmi["metadata"]["name"],
            uid=vmi["metadata"]["uid"],
            phase=status.get("phase", ""),
            node=status.get("nodeName", ""),
            address=interfaces[0].get("ipAddress", ""),
            evacuation_node=status.get("evacuationNodeName", ""),
            conditions={condition["type"]: condition for condition in status.get("conditions", [])},
            migration=status.get("migrationState"),
        )

    @property
    def ready(self) -> bool:
        return bool(self.conditions.get("Ready", {}).get("status") == "True")

    @property
    def why_not_migratable(self) -> str:
        """Why it cannot be live-migrated, in the cluster's words; empty when it can."""
        condition = self.conditions.get("LiveMigratable")
        if condition is None:
            return "the condition LiveMigratable is missing"
        if condition["status"] == "True":
            return ""
        return f"{condition.get('reason', '')}: {condition.get('message', '')}"

    def __str__(self) -> str:
        ready = self.conditions.get("Ready", {})
        why = "" if self.ready else f", not Ready ({ready.get('reason', 'no condition')}: {ready.get('message', '')})"
        return f"{self.name}: phase {self.phase or 'unset'} on {self.node or 'no node'}{why}"


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A handle on one VirtualMachine; holds no state of its own."""

    cluster: Cluster
    name: str
    namespace: str

    @property
    def instance(self) -> Instance | None:
        """The running instance as the cluster has it now, or None."""
        return self.followed_in(self.cluster)

    def followed_in(self, source: Reads) -> Instance | None:
        """The running instance as a copy of the cluster's objects has it, or None; a current copy asks nothing."""
        vmi = source.find(INSTANCES, self.name, self.namespace)
        return Instance.of(vmi) if vmi else None

    @property
    def status(self) -> str:
        """The printable status: Running, Migrating, ErrorUnschedulable ..."""
        vm = self.cluster.get(MACHINES, self.name, self.namespace)
        return str(vm.get("status", {}).get("printableStatus", "Unknown"))

    def wait_ready(self, deadline: Deadline, instances: Followed | None = None) -> Instance:
        """Wait until the instance is Ready; raises WaitTimeoutError with its last state.

        Where many are waited for, `instances` is a copy of those of the namespace: looking at it asks nothing.
        """
        seen = wait(
            f"virtual machine {self.namespace}/{self.name} is Ready",
            lambda: self.followed_in(instances or self.cluster),
            until=lambda instance: instance is not None and instance.ready,
            deadline=deadline,
            every=0.5,
            describe=lambda instance: instance or f"no instance; the VirtualMachine is {self.status}",
            wakened_by=instances.changes if instances else None,
        )
        assert seen is not None
        return seen
