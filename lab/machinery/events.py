"""Events about objects: written in the background, repeated ones counted instead of written anew."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass

import aiohttp

from lab.client import ApiError, Client, Object
from lab.kinds import EVENT, Kind
from lab.machinery.objects import name, namespace, stamp, uid

log = logging.getLogger(__name__)

REMEMBERED = 500
"""How many different events are remembered for counting repetitions."""


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: Kind
    item: Object
    type: str
    reason: str
    message: str
    component: str

    @property
    def identity(self) -> tuple[str, ...]:
        return (uid(self.item), self.type, self.reason, self.message, self.component)


class Recorder:
    """Takes events at once and writes them one by one; losing one is logged, never fatal."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._queue: asyncio.Queue[_Entry] = asyncio.Queue()
        self._known: dict[tuple[str, ...], Object] = {}

    def event(
        self, kind: Kind, item: Object, type_: str, reason: str, message: str,
        component: str = "virtualmachine-controller",
    ) -> None:
        self._queue.put_nowait(_Entry(kind, item, type_, reason, message, component))

    async def run(self) -> None:
        while True:
            entry = await self._queue.get()
            try:
                await self._write(entry)
            except (aiohttp.ClientError, ApiError, TimeoutError, OSError) as error:
                log.info("event %s about %s not written: %s", entry.reason, name(entry.item), error)
                self._known.pop(entry.identity, None)

    async def _write(self, entry: _Entry) -> None:
        known = self._known.get(entry.identity)
        if known is not None:
            count = int(known.get("count", 1)) + 1
            patch = {"count": count, "lastTimestamp": stamp()}
            where = known["metadata"]
            self._known[entry.identity] = await self._client.patch(EVENT, where["name"], patch, where["namespace"])
            return
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[entry.identity] = await self._client.create(EVENT, body(entry))


def body(entry: _Entry) -> Object:
    """The core/v1 Event; about what has no namespace it is kept in namespace default."""
    item, moment = entry.item, stamp()
    where = namespace(item) or "default"
    involved = {
        "kind": entry.kind.name, "apiVersion": entry.kind.api_version, "name": name(item), "uid": uid(item),
        "resourceVersion": str(item["metadata"].get("resourceVersion", "")),
    }
    if namespace(item):
        involved["namespace"] = namespace(item)
    return {
        "metadata": {"name": f"{name(item)}.{secrets.token_hex(8)}", "namespace": where},
        "involvedObject": involved, "type": entry.type, "reason": entry.reason, "message": entry.message,
        "source": {"component": entry.component}, "firstTimestamp": moment, "lastTimestamp": moment, "count": 1,
        "eventTime": None, "reportingComponent": entry.component, "reportingInstance": "",
    }
