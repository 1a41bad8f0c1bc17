"""The cluster as a run may use it: what it makes bears its name, what is not its own cannot be changed through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drainproof.allowed import Allowed, NotAllowedError
from drainproof.api import (
    CONFIG_MAPS,
    LEASES,
    NAMESPACES,
    NODE_HEALTH_CHECKS,
    NODES,
    PODS,
    VOLUME_SNAPSHOT_CONTENTS,
    Cluster,
)
from drainproof.journal.copy import PREFIX as RUN_PREFIX
from drainproof.leases import PREFIX as NODE_PREFIX
from drainproof.ownership import Owner
from drainproof.resources import Object, Resource

PREFIX = "drainproof-"
"""Begins the name of every namespace of a run, and of every object of a run elsewhere."""
LAB_PAUSE = "drainproof-lab"
"""The pause request that the embedded lab puts on its own NodeHealthCheck; no other is ever taken away."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a run may change on a cluster."""

    owner: Owner
    allowed: Allowed
    control_namespace: str

    @property
    def namespace(self) -> str:
        """Its namespace; those of its workers begin with it and a hyphen."""
        return f"{PREFIX}{self.owner.run_id}"

    def check(self, plural: str, name: str, namespace: str | None) -> None:
        """Raises NotAllowedError unless the object is the run's own, or a node that it may disturb."""
        if plural == NODES.plural:
            self.allowed.check(name)
        elif namespace is not None:
            if not self.is_own(namespace) and not (namespace == self.control_namespace and self._keeps(plural, name)):
                raise NotAllowedError(f"{plural} {name} in namespace {namespace} is not the run's: it is left alone")
        elif not self.is_own(name):
            raise NotAllowedError(f"{plural} {name} is not the run's: it is left alone")

    def is_own(self, name: str) -> bool:
        """Whether a namespace, or what has none, is the run's by its name."""
        return name == self.namespace or name.startswith(f"{self.namespace}-")

    def _keeps(self, plural: str, name: str) -> bool:
        """What a run keeps in the control namespace: claims of nodes, its heartbeat, its journal; no other run's."""
        if plural == LEASES.plural and name.startswith(NODE_PREFIX):
            return True
        return plural in (LEASES.plural, CONFIG_MAPS.plural) and name == f"{RUN_PREFIX}{self.owner.run_id}"


class RunCluster(Cluster):
    """A cluster through which nothing can be changed until bounds are set, and afterwards nothing outside of them.

    The last guard, behind every fault and every drain, so that no mistake of theirs reaches what others own. Every
    object that is made is marked as the run's. Where the name does not tell whose an object is, or where it is, it is
    looked at first: pods of others that are evicted, contents of snapshots, NodeHealthChecks.
    """

    _bounds: Bounds | None = None

    def keep_to(self, bounds: Bounds) -> None:
        """Allow what a run may change."""
        self._bounds = bounds

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """As a Cluster's; marked as the run's."""
        bounds = self._check(resource.plural, _name(body), namespace)
        return super().create(resource, bounds.owner.owned(body), namespace)

    def apply(
        self, resource: Resource, body: Object, namespace: str | None = None, *, force: bool = False
    ) -> Object:
        """As a Cluster's; marked as the run's."""
        bounds = self._check(resource.plural, _name(body), namespace)
        return super().apply(resource, bounds.owner.owned(body), namespace, force=force)

    def patch(
        self, resource: Resource, name: str, patch: Mapping[str, Any], namespace: str | None = None
    ) -> Object:
        """As a Cluster's, within the bounds."""
        if resource == NODE_HEALTH_CHECKS:
            self._check_pause(name, patch)
        else:
            self._check(resource.plural, name, namespace)
        return super().patch(resource, name, patch, namespace)

    def update(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """As a Cluster's; marked as the run's."""
        bounds = self._check(resource.plural, _name(body), namespace)
        return super().update(resource, bounds.owner.owned(body), namespace)

    def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> None:
        """As a Cluster's, within the bounds."""
        self._check(resource.plural, name, namespace)
        super().delete(resource, name, namespace, grace_seconds=grace_seconds)

    def remove(self, path: str) -> None:
        """As a Cluster's, within the bounds."""
        self._check(*parts_of(path))
        super().remove(path)

    def act(
        self, resource: Resource, name: str, namespace: str, action: str, body: Mapping[str, Any] | None = None
    ) -> None:
        """As a Cluster's, within the bounds."""
        self._check(resource.plural, name, namespace)
        super().act(resource, name, namespace, action, body)

    def evict(self, pod: str, namespace: str) -> None:
        """As a Cluster's, of the run's own pods and of whatever is on a node that may be disturbed."""
        bounds = self._settled(PODS.plural, pod)
        if not bounds.is_own(namespace):
            # A pod of a stateful set comes back under its name, on another node.
            found = self.find(PODS, pod, namespace)
            if found is not None:
                bounds.allowed.check(str(found["spec"].get("nodeName") or "(none yet)"))
        super().evict(pod, namespace)

    def _check(self, plural: str, name: str, namespace: str | None) -> Bounds:
        bounds = self._settled(plural, name)
        if plural == VOLUME_SNAPSHOT_CONTENTS.plural:
            self._check_content(bounds, name)
        else:
            bounds.check(plural, name, namespace)
        return bounds

    def _check_content(self, bounds: Bounds, name: str) -> None:
        """Its name is the snapshot controller's choice: it is the run's if the snapshot is that it belongs to."""
        for found in self.items(VOLUME_SNAPSHOT_CONTENTS, fields=f"metadata.name={name}"):
            snapshot = found["spec"].get("volumeSnapshotRef") or {}
            if not bounds.is_own(str(snapshot.get("namespace") or "")):
                raise NotAllowedError(f"{VOLUME_SNAPSHOT_CONTENTS.plural} {name} is not the run's: it is left alone")

    def _check_pause(self, name: str, patch: Mapping[str, Any]) -> None:
        """A check may be paused, or freed of the lab's own pause; whoever else has paused it has a reason."""
        self._settled(NODE_HEALTH_CHECKS.plural, name)
        held = set(self.get(NODE_HEALTH_CHECKS, name)["spec"].get("pauseRequests") or []) - {LAB_PAUSE}
        wanted = patch.get("spec") or {}
        if set(patch) != {"spec"} or set(wanted) != {"pauseRequests"} or not held <= set(wanted["pauseRequests"] or []):
            others = f"paused by {', '.join(sorted(held))}" if held else "and more than its pause was to be changed"
            raise NotAllowedError(f"{NODE_HEALTH_CHECKS.plural} {name} is not the run's, {others}: it is left alone")

    def _settled(self, plural: str, name: str) -> Bounds:
        if self._bounds is None:
            raise NotAllowedError(f"{plural} {name} cannot be changed: no run has begun on this cluster")
        return self._bounds


def parts_of(path: str) -> tuple[str, str, str | None]:
    """The plural, the name and the namespace, None without one, of the object at a URL path."""
    _, api, *rest = path.split("/")
    rest = rest[1:] if api == "api" else rest[2:]
    if rest[0] == NAMESPACES.plural and len(rest) > 3:
        return rest[2], rest[3], rest[1]
    return rest[0], rest[1], None


def _name(body: Object) -> str:
    meta = body["metadata"]
    return str(meta.get("name") or meta.get("generateName") or "")
