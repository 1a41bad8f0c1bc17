"""Lists: selection, consistent paging over short-lived snapshots, and the rules about resourceVersion."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from lab.api.errors import Object, StatusError, bad_request, expired
from lab.api.options import ListOptions
from lab.api.selectors import Selector
from lab.api.store import Store
from lab.api.stored import Stored
from lab.kinds import Kind

SNAPSHOTS = 32
"""Paged lists that can go on at the version they began with; older tokens answer 410."""
FUTURE_WAIT_SECONDS = 3.0


@dataclass(frozen=True)
class Page:
    """The items of one answer and the list's metadata."""

    items: Sequence[Stored]
    meta: Object


class Lister:
    """Answers list requests on a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[tuple[Kind, int], list[Stored]] = OrderedDict()

    async def wait_for(self, version: int) -> None:
        """Raises StatusError 504 when the store does not reach the version in three seconds."""
        if version <= self._store.version:
            return
        await asyncio.sleep(FUTURE_WAIT_SECONDS)
        if version > self._store.version:
            raise too_large(version, self._store.version)

    async def page(self, kind: Kind, namespace: str, selector: Selector, options: ListOptions) -> Page:
        version = options.version_number
        if options.token:
            if version:
                raise bad_request("specifying resource version is not allowed when using continue")
            return self._continued(kind, namespace, selector, options)
        await self.wait_for(version)
        if options.match == "Exact" and version < self._store.last_change(kind):
            raise expired("The resourceVersion for the provided list is too old.")
        items = self._store.list(kind)
        return self._cut(kind, namespace, selector, options, items, self._store.version, "")

    def _continued(self, kind: Kind, namespace: str, selector: Selector, options: ListOptions) -> Page:
        version, start = _decode_token(options.token)
        items = self._snapshots.get((kind, version))
        if items is None and version < 0:
            items, version = self._store.list(kind), self._store.version
        if items is None:
            raise _expired_token(start)
        return self._cut(kind, namespace, selector, options, items, version, start)

    def _cut(
        self, kind: Kind, namespace: str, selector: Selector, options: ListOptions, items: list[Stored], version: int,
        start: str,
    ) -> Page:
        rest = [
            item for item in items
            if (not namespace or item.namespace == namespace) and (not start or _position(item) >= start)
        ]
        chosen = rest if selector.anything else [item for item in rest if selector.matches(item.body)]
        meta: Object = {"resourceVersion": str(version)}
        if options.limit <= 0 or len(chosen) <= options.limit:
            return Page(chosen, meta)
        page = chosen[:options.limit]
        self._remember(kind, version, items)
        meta["continue"] = _token(version, _position(page[-1]) + "\0")
        if selector.anything:
            meta["remainingItemCount"] = len(chosen) - options.limit
        return Page(page, meta)

    def _remember(self, kind: Kind, version: int, items: list[Stored]) -> None:
        self._snapshots[kind, version] = items
        while len(self._snapshots) > SNAPSHOTS:
            self._snapshots.popitem(last=False)


def too_large(version: int, current: int) -> StatusError:
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    return StatusError(504, "Timeout", message, details, headers={"Retry-After": "1"})


def _position(item: Stored) -> str:
    return f"{item.namespace}\0{item.name}"


def _token(version: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode_token(token: str) -> tuple[int, str]:
    try:
        data = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(data["rv"]), str(data["start"])
    except (ValueError, KeyError, TypeError):
        text = "invalid character 'i' looking for beginning of value"
        raise bad_request(f"invalid continue token: continue key is not valid: {text}") from None


def _expired_token(start: str) -> StatusError:
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return StatusError(410, "Expired", message, metadata={"continue": _token(-1, start)})
