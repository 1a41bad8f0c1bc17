"""Watch streams: one bounded queue per stream, filled at commit time, with each event encoded once for all streams."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from lab.api.errors import Object, expired
from lab.api.negotiate import PARTIAL, TABLE, Form
from lab.api.options import ListOptions
from lab.api.selectors import Selector
from lab.api.store import Change, Store
from lab.api.stored import Stored, encode
from lab.api.tables import partial, table
from lab.kinds import Kind

QUEUE_LIMIT = 5000
"""Events that a slow reader may lag behind before its stream is ended."""
BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK_SECONDS = 2.0
"""How long before a stream's timeout its last bookmarks come (2.5 s and 1.3 s were recorded)."""
DEFAULT_TIMEOUT_SECONDS = (1800.0, 3600.0)
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True)
class WatchRequest:
    """What one stream shows."""

    kind: Kind
    namespace: str
    selector: Selector
    form: Form
    include: str
    options: ListOptions


class Stream:
    """One watch from open to close: iterate it for chunks of encoded events."""

    def __init__(self, store: Store, request: WatchRequest) -> None:
        self._store = store
        self._request = request
        self._pending: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._first_table = True

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield encoded events until the stream's timeout; raises nothing, errors are events."""
        if not self._begin():
            yield self._take()
            return
        stop = self._store.listen(self._request.kind, self._on_change)
        try:
            async for chunk in self._run():
                yield chunk
        finally:
            stop()

    async def _run(self) -> AsyncIterator[bytes]:
        end = time.monotonic() + (self._request.options.timeout_seconds or random.uniform(*DEFAULT_TIMEOUT_SECONDS))
        bookmark = self._next_bookmark(end)
        while True:
            if self._pending:
                yield self._take()
            if self._ended:
                return
            now = time.monotonic()
            if now >= end:
                return
            if bookmark and now >= bookmark:
                self._push(self._bookmark({}))
                bookmark = self._next_bookmark(end)
                continue
            await self._wait(min(end, bookmark or end) - now)

    async def _wait(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _next_bookmark(self, end: float) -> float:
        if not self._request.options.bookmarks:
            return 0.0
        now = time.monotonic()
        last = end - LAST_BOOKMARK_SECONDS
        if now < last:
            return min(now + BOOKMARK_SECONDS, last)
        return end - 1.0 if now < end - 1.0 else 0.0

    def _take(self) -> bytes:
        data = b"".join(self._pending)
        self._pending.clear()
        return data

    def _push(self, data: bytes | None) -> None:
        if data is None:
            return
        if len(self._pending) >= QUEUE_LIMIT:
            self._ended = True
            self._pending.clear()
        self._pending.append(data)
        self._wake.set()

    def _begin(self) -> bool:
        """Queue what precedes live events; false when the stream can only report that it starts too late."""
        request, store = self._request, self._store
        version = request.options.version_number
        initial = request.options.initial_events
        if version and not initial:
            floor = store.floor(request.kind)
            if version < floor:
                status = expired(f"too old resource version: {version} ({floor})").status()
                self._push(encode({"type": "ERROR", "object": status}) + b"\n")
                return False
            for change in store.since(request.kind, version):
                self._on_change(change)
            return True
        if initial is not False:
            for item in store.list(request.kind, request.namespace):
                if request.selector.matches(item.body):
                    # However many there are: nobody lags behind before the first is sent.
                    self._pending.append(self._event("ADDED", item))
            if request.options.bookmarks and (initial or not request.options.version):
                self._pending.append(self._bookmark(INITIAL_EVENTS_END))
        return True

    def _on_change(self, change: Change) -> None:
        request = self._request
        if request.namespace and change.new.namespace != request.namespace:
            return
        if request.selector.anything:
            self._push(self._event(change.type, change.new))
            return
        before = change.old is not None and request.selector.matches(change.old.body)
        after = change.type != "DELETED" and request.selector.matches(change.new.body)
        if after:
            self._push(self._event("MODIFIED" if before else "ADDED", change.new))
        elif before and change.old is not None:
            gone = change.new if change.type == "DELETED" else change.old.at_version(change.version)
            self._push(self._event("DELETED", gone))

    def _event(self, kind: str, item: Stored) -> bytes:
        form = self._request.form
        if form.kind == TABLE:
            body = encode(self._table(item))
        elif form.kind == PARTIAL:
            body = encode(partial(item, form.version))
        else:
            body = item.json
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)

    def _table(self, item: Stored) -> Object:
        meta = {"resourceVersion": str(item.version)}
        shown = table(
            self._request.kind, [item], meta, self._request.form.version, self._request.include,
            header=self._first_table,
        )
        self._first_table = False
        return shown

    def _bookmark(self, annotations: Object) -> bytes:
        kind = self._request.kind
        meta: Object = {"resourceVersion": str(self._store.version)}
        if annotations:
            meta["annotations"] = annotations
        body: Object = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta}
        if self._request.form.kind == TABLE:
            body = {
                "kind": "Table", "apiVersion": f"meta.k8s.io/{self._request.form.version}", "metadata": meta,
                "columnDefinitions": None, "rows": [],
            }
        elif self._request.form.kind == PARTIAL:
            body |= {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{self._request.form.version}"}
        return encode({"type": "BOOKMARK", "object": body}) + b"\n"


