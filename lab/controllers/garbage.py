"""Garbage collection by owner: what belongs to nobody any more is deleted."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lab.client import NotFoundError, Object
from lab.controllers import indexes
from lab.controllers.runtime import WATCHED_KINDS, Controller, Keys
from lab.kinds import KINDS, Kind
from lab.machinery.cluster import Cluster
from lab.machinery.objects import deleting, drop_finalizer, finalizers, key, namespace, uid

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
RETRY_SECONDS = 1.0
_BY_NAME = {kind.name: kind for kind in KINDS}


async def reconcile(cluster: Cluster, where: str) -> float | None:
    """Delete an object all of whose owners are gone; let an object go whose dependents had to go first."""
    kind = _BY_NAME[where.partition(" ")[0]]
    item = cluster.get(kind, where.partition(" ")[2])
    if item is None:
        return None
    if deleting(item):
        return await _release(cluster, kind, item)
    references = item["metadata"].get("ownerReferences") or []
    if not references:
        return None
    for reference in references:
        if await _exists(cluster, item, reference):
            return None
    await cluster.delete(kind, item)
    return None


async def _exists(cluster: Cluster, item: Object, reference: Object) -> bool:
    """Whether the owner is there, with the same uid; an owner of a kind that the lab does not serve counts as there."""
    kind = _BY_NAME.get(reference["kind"])
    if kind is None:
        return True
    where = namespace(item) if kind.namespaced else None
    cached = cluster.peek(kind, f"{where}/{reference['name']}" if where else reference["name"])
    if cached is not None and uid(cached) == str(reference["uid"]):
        return True
    try:
        owner = await cluster.client.get(kind, reference["name"], where)
    except NotFoundError:
        return False
    return uid(owner) == str(reference["uid"])


def dependents(cluster: Cluster, owner: Object) -> list[tuple[Kind, Object]]:
    """Everything that names the object as an owner."""
    return [
        (kind, item) for kind in WATCHED_KINDS for item in cluster.among(indexes.by_owner(kind), uid(owner))
    ]


async def _release(cluster: Cluster, kind: Kind, item: Object) -> float | None:
    """The work behind the finalizers of a foreground or orphaning deletion."""
    held = [finalizer for finalizer in (FOREGROUND, ORPHAN) if finalizer in finalizers(item)]
    if not held:
        return None
    below = dependents(cluster, item)
    for dependent_kind, dependent in below:
        if ORPHAN in held:
            latest = cluster.get(dependent_kind, key(dependent)) or dependent
            wished = copy.deepcopy(latest)
            references = wished["metadata"].get("ownerReferences") or []
            wished["metadata"]["ownerReferences"] = [entry for entry in references if entry["uid"] != uid(item)]
            await cluster.update(dependent_kind, latest, wished)
        elif not deleting(dependent):
            await cluster.delete(dependent_kind, dependent)
    if below and FOREGROUND in held:
        return RETRY_SECONDS
    wished = copy.deepcopy(item)
    for finalizer in held:
        drop_finalizer(wished, finalizer)
    await cluster.update(kind, item, wished)
    return None


def _keys(kind: Kind) -> Keys:
    def concerned(cluster: Cluster, item: Object) -> Iterable[str]:
        if _gone(cluster, kind, item):
            return [f"{of.name} {key(dependent)}" for of, dependent in dependents(cluster, item)]
        own = item["metadata"].get("ownerReferences") or deleting(item)
        return [f"{kind.name} {key(item)}"] if own else []
    return concerned


def _gone(cluster: Cluster, kind: Kind, item: Object) -> bool:
    known = cluster.peek(kind, key(item))
    return known is None or uid(known) != uid(item)


CONTROLLER = Controller("garbage", reconcile, tuple((kind, _keys(kind)) for kind in WATCHED_KINDS))
