"""Experiments of Chaos Mesh, as the faults of this package order and end them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drainproof.api import Cluster, Object, Resource
from drainproof.vm import NAME_LABEL
from drainproof.wait import Deadline, wait


@dataclass(frozen=True)
class Experiment:
    """One experiment object. Its spec has a duration, so that it ends even if nobody lives to delete it."""

    cluster: Cluster
    resource: Resource
    namespace: str
    spec: Mapping[str, Any]
    name: str = field(default_factory=lambda: f"drainproof-{secrets.token_hex(3)}")

    def create(self) -> None:
        """Order it; never applied: one that is there already would tell of what it was injected at before."""
        self.cluster.create(self.resource, {"metadata": {"name": self.name}, "spec": dict(self.spec)}, self.namespace)

    def wait_injected(self, deadline: Deadline) -> Object:
        """Wait until it is in force at everything it selects; raises WaitTimeoutError with its last conditions."""
        return wait(
            f"{self.resource.kind} {self.name} is injected",
            lambda: self.cluster.get(self.resource, self.name, self.namespace),
            until=lambda seen: conditions(seen).get("AllInjected") == "True",
            deadline=deadline,
            describe=conditions,
        )

    def is_in_force(self) -> bool:
        """Whether it is there, and still injected everywhere."""
        found = self.cluster.find(self.resource, self.name, self.namespace)
        return found is not None and conditions(found).get("AllInjected") == "True"

    def delete(self) -> None:
        self.cluster.delete(self.resource, self.name, self.namespace)

    def wait_gone(self, deadline: Deadline) -> None:
        """Wait until the object is gone, which its finalizer allows only once everything has recovered."""
        wait(
            f"{self.resource.kind} {self.name} has recovered and is gone",
            lambda: self.cluster.find(self.resource, self.name, self.namespace),
            until=lambda seen: seen is None,
            deadline=deadline,
            describe=lambda seen: seen and conditions(seen),
        )


def conditions(item: Object) -> dict[str, str]:
    """The experiment's conditions by type."""
    return {entry["type"]: entry["status"] for entry in item.get("status", {}).get("conditions", [])}


def records(item: Object) -> list[str]:
    """What the experiment has been injected at, as `namespace/pod`."""
    entries = item.get("status", {}).get("experiment", {}).get("containerRecords", [])
    return [str(entry["id"]) for entry in entries]


def machines(names: Sequence[str], namespace: str) -> dict[str, Any]:
    """Chaos Mesh's selector for the pods of these virtual machines, all of them."""
    expression = {"key": NAME_LABEL, "operator": "In", "values": list(names)}
    return {"mode": "all", "selector": {"namespaces": [namespace], "expressionSelectors": [expression]}}
