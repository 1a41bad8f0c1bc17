"""Followed: what is followed of a cluster, read without asking it; what is not, or is cut off, is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from drainproof.api import Cluster, Object, Objects, Resource
from drainproof.following import Changes, Following, Interest

PATIENCE_SECONDS = 5.0
"""How long a copy may take to become current before the API is asked instead."""


class Reads(Protocol):
    """Whoever can be asked for an object by name: a Cluster, or a copy of what is there."""

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None: ...


class Followed:
    """Copies of a cluster's objects, each read as long as it is current; otherwise the cluster is asked.

    A copy may lag behind the cluster by as long as a watch takes to tell, usually milliseconds: right for waits, which
    look again, and wrong for whoever has just changed an object and wants to read the result. What is read is not to be
    changed.
    """

    def __init__(self, cluster: Cluster, followings: Sequence[Following], changes: Changes) -> None:
        self.changes = changes
        self._cluster = cluster
        whole = [one for one in followings if not one.interest.labels and not one.interest.fields]
        self._copies = {(one.interest.resource, one.interest.namespace): one for one in whole}

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none of that name."""
        copy = self._copy(resource, namespace or "")
        return copy.find(name, namespace or "") if copy else self._cluster.find(resource, name, namespace)

    def told(self, resource: Resource, namespace: str) -> Objects:
        """All objects of a kind in a namespace as far as they are followed; none where they are not."""
        copy = self._copy(resource, namespace)
        found = copy.objects() if copy else []
        return [item for item in found if item["metadata"].get("namespace", "") == namespace]

    def of_uid(self, resource: Resource, namespace: str, uid: str) -> Object | None:
        """The object of that uid; None when there is none, and where such objects of the namespace are not followed."""
        copy = self._copy(resource, namespace)
        return copy.of_uid(uid) if copy else None

    def follows(self, resource: Resource, namespace: str = "") -> bool:
        """Whether all objects of a kind in a namespace are followed, current or not."""
        return (resource, namespace) in self._copies or (resource, "") in self._copies

    def _copy(self, resource: Resource, namespace: str) -> Following | None:
        found = self._copies.get((resource, namespace)) or self._copies.get((resource, ""))
        return found if found and found.await_current(0) else None


@contextmanager
def followed(cluster: Cluster, *interests: Interest) -> Iterator[Followed]:
    """Each interest followed for the length of a block, and its copy current on entry unless the API is slow."""
    changes = Changes()
    followings = [Following(cluster, interest, changes=changes) for interest in interests]
    for one in followings:
        one.start()
    try:
        for one in followings:
            one.await_current(PATIENCE_SECONDS)
        yield Followed(cluster, followings, changes)
    finally:
        for one in followings:
            one.stop()
