"""The cluster as a run may use it: what it makes bears its name, what is not its own cannot be changed through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drainproof.allowed import Allowed, NotAllowedError
from drainproof.api import NAMESPACES, NODE_HEALTH_CHECKS, NODES, VOLUME_SNAPSHOT_CONTENTS, Cluster
from drainproof.ownership import Owner
from drainproof.resources import Object, Resource

PREFIX = "drainproof-"
"""Begins the name of every namespace of a run, and of every object of a run elsewhere."""
CONTROL_KINDS = ("leases", "configmaps")
"""What runs keep in the control namespace: claims, heartbeats and journals."""
GUARDED_ELSEWHERE = (VOLUME_SNAPSHOT_CONTENTS.plural, NODE_HEALTH_CHECKS.plural)
"""Kinds without a namespace whose names are not the run's to choose; who changes one first sees that it is its own."""


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
            control = namespace == self.control_namespace and plural in CONTROL_KINDS and name.startswith(PREFIX)
            if not self._is_own(namespace) and not control:
                raise NotAllowedError(f"{plural} {name} in namespace {namespace} is not the run's: it is left alone")
        elif plural not in GUARDED_ELSEWHERE and not self._is_own(name):
            raise NotAllowedError(f"{plural} {name} is not the run's: it is left alone")

    def _is_own(self, name: str) -> bool:
        return name == self.namespace or name.startswith(f"{self.namespace}-")


class RunCluster(Cluster):
    """A cluster through which nothing can be changed until bounds are set, and afterwards nothing outside of them.

    The last guard, behind every fault and every drain, so that no mistake of theirs reaches what others own. Every
    object that is made is marked as the run's. Evictions are not looked at: a pod does not say what a drain is for;
    a drain has cordoned its node before.
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
        """As a Cluster's, once bounds are set."""
        self._settled("pods", pod)
        super().evict(pod, namespace)

    def _check(self, plural: str, name: str, namespace: str | None) -> Bounds:
        bounds = self._settled(plural, name)
        bounds.check(plural, name, namespace)
        return bounds

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
