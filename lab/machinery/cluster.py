"""What a controller sees of the cluster: cached objects that include its own latest writes, and ways to write."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.client import Client, Informer, Object
from lab.config import LabConfig
from lab.grouping import Index
from lab.kinds import Kind
from lab.machinery.events import Recorder
from lab.machinery.objects import clone, deleting, finalizers, key, name, namespace, uid

log = logging.getLogger(__name__)

Objects = list[Object]

REMEMBERED_DELETIONS = 500
OVERLAY_SECONDS = 5.0
"""How long an own write is believed while its watch event is missing."""

_READ_ONLY = ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields", "selfLink")


@dataclass(frozen=True, slots=True)
class _Written:
    item: Object
    version: int
    deadline: float


def merge_diff(old: Any, new: Any) -> Any:
    """The JSON merge patch that turns one object into another; {} when they are equal."""
    patch: Object = {}
    for field in old:
        if field not in new:
            patch[field] = None
    for field, value in new.items():
        before = old.get(field)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_diff(before, value)
            if inner:
                patch[field] = inner
        elif field not in old or before != value:
            patch[field] = value
    return patch


def _version(item: Object) -> int:
    return int(item["metadata"].get("resourceVersion") or 0)


class Cluster:
    """Cached reads and checked writes; every write goes to the API and is visible to the next read.

    Writes raise what Client raises; ConflictError means that the cached object was not the latest.
    """

    def __init__(
        self, client: Client, config: LabConfig, informers: Mapping[Kind, Informer], recorder: Recorder
    ) -> None:
        self.client = client
        self.config = config
        self.event = recorder.event
        self._informers = informers
        self._written: dict[Kind, dict[str, _Written]] = {}
        self._deleted: deque[str] = deque(maxlen=REMEMBERED_DELETIONS)

    def get(self, kind: Kind, object_key: str) -> Object | None:
        """A copy of the object, free to change; None when it is not there."""
        item = self._latest(kind, object_key, self._informers[kind].get(object_key))
        return clone(item) if item else None

    def peek(self, kind: Kind, object_key: str) -> Object | None:
        """The object itself, shared with the cache: do not change it; None when it is not there."""
        return self._latest(kind, object_key, self._informers[kind].get(object_key))

    def list(self, kind: Kind, within: str | None = None) -> list[Object]:
        """All objects of a kind, of one namespace if it is given; shared with the cache: do not change them."""
        cached = {key(item): item for item in self._informers[kind].items()}
        for where in list(self._written.get(kind, ())):
            latest = self._latest(kind, where, cached.get(where))
            if latest is not None:
                cached[where] = latest
        return [item for item in cached.values() if within is None or namespace(item) == within]

    def among(self, index: Index, value: str) -> Objects:
        """The objects that the index files under a value; shared with the cache: do not change them."""
        informer = self._informers[index.kind]
        found = dict(informer.groups(index).under(value))
        for where in list(self._written.get(index.kind, ())):
            latest = self._latest(index.kind, where, informer.get(where))
            if latest is not None and value in index.values(latest):
                found[where] = latest
            else:
                found.pop(where, None)
        return list(found.values())

    def unseen(self, kind: Kind) -> Objects:
        """The own writes to objects of a kind that the watch has not shown yet."""
        informer = self._informers[kind]
        shown = {where: informer.get(where) for where in list(self._written.get(kind, ()))}
        latest = [(self._latest(kind, where, cached), cached) for where, cached in shown.items()]
        return [item for item, cached in latest if item is not None and item is not cached]

    def changes(self, index: Index, value: str) -> int:
        """A number that stays while the watch shows no change among the objects under a value."""
        return self._informers[index.kind].groups(index).changes(value)

    def _latest(self, kind: Kind, where: str, cached: Object | None) -> Object | None:
        written = self._written.get(kind, {}).get(where)
        if written is None:
            return cached
        seen = cached is not None and _version(cached) >= written.version
        if seen or time.monotonic() > written.deadline:
            del self._written[kind][where]
            return cached
        return written.item

    def remember(self, kind: Kind, item: Object) -> Object:
        """Believe this version of the object until the watch shows it or a later one; never a deleted object."""
        if item.get("metadata", {}).get("resourceVersion") and uid(item) not in self._deleted:
            entry = _Written(item, _version(item), time.monotonic() + OVERLAY_SECONDS)
            self._written.setdefault(kind, {})[key(item)] = entry
        return item

    def seen_deleted(self, kind: Kind, item: Object) -> None:
        """The watch reported the deletion: own writes to that object count no more, even if an answer comes late."""
        self._deleted.append(uid(item))
        written = self._written.get(kind, {}).get(key(item))
        if written and uid(written.item) == uid(item):
            del self._written[kind][key(item)]

    async def create(self, kind: Kind, body: Object) -> Object:
        created = await self.client.create(kind, body)
        return self.remember(kind, created)

    async def update(self, kind: Kind, old: Object, new: Object) -> Object:
        """Send the differences between an object as read and as wished; nothing is sent when there are none."""
        patch = {field: value for field, value in merge_diff(old, new).items() if field not in ("apiVersion", "kind")}
        meta = patch.get("metadata") or {}
        for field in _READ_ONLY:
            meta.pop(field, None)
        if "metadata" in patch and not meta:
            del patch["metadata"]
        status = patch.pop("status", None) if kind.status else None
        latest = old
        if patch:
            latest = await self._patch(kind, latest, patch, "")
        let_go = deleting(latest) and finalizers(old) and not finalizers(latest)
        if status is not None and not let_go:
            latest = await self._patch(kind, latest, {"status": status}, "status")
        return latest

    async def _patch(self, kind: Kind, item: Object, patch: Object, subresource: str) -> Object:
        version = item["metadata"].get("resourceVersion")
        locked = {**patch, "metadata": {**(patch.get("metadata") or {}), "resourceVersion": version}}
        changed = await self.client.patch(
            kind, name(item), locked, namespace(item) or None, type="merge", subresource=subresource
        )
        return self.remember(kind, changed)

    async def delete(self, kind: Kind, item: Object, *, grace_seconds: int | None = None) -> None:
        await self.client.delete(
            kind, name(item), namespace(item) or None, uid=uid(item) or None, grace_seconds=grace_seconds
        )
