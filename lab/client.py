"""The lab's own Kubernetes client: what controllers and node agents use to speak to the API, and nothing else."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from lab.grouping import Groups, Index
from lab.kinds import Kind

Object = dict[str, Any]
"""A Kubernetes object as plain JSON."""

log = logging.getLogger(__name__)

GUEST_SECONDS = 45.0
"""Longer than an agent gives a guest to freeze its file systems."""

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class ApiError(Exception):
    """The API answered with an error Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message


class NotFoundError(ApiError):
    """404: the object is not there."""


class ConflictError(ApiError):
    """409: the object exists already, or changed since it was read."""


class ExpiredError(ApiError):
    """410: the resourceVersion is older than the history that the server keeps."""


class UnavailableError(ApiError, OSError):
    """The server refuses for now: 429, 5xx, or 410 to what is no watch. An OSError, like a refused connection."""


_ERRORS: dict[int, type[ApiError]] = {404: NotFoundError, 409: ConflictError, 410: ExpiredError}


def _error(status: Object, *, watching: bool = False) -> ApiError:
    code = int(status.get("code", 0))
    unavailable = code == 429 or code >= 500 or (code == 410 and not watching)
    kind = UnavailableError if unavailable else _ERRORS.get(code, ApiError)
    return kind(code, str(status.get("reason", "")), str(status.get("message", "")))


async def _refusal(answer: aiohttp.ClientResponse, *, watching: bool = False) -> ApiError:
    """The error of an answer; the HTTP status counts where the body is no Status, as it is behind a broken server."""
    text = await answer.text(errors="replace")
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        status = {"reason": answer.reason, "message": text[:500]}
    return _error({**status, "code": answer.status}, watching=watching)


class Client:
    """An asyncio client of one API server; use it as an async context manager.

    Every method raises ApiError (NotFoundError, ConflictError, ExpiredError) on an error Status and
    aiohttp.ClientError when the server cannot be reached.
    """

    def __init__(self, server: str, ca_file: Path, token: str, user_agent: str = "lab") -> None:
        self._server = server
        self._ca_file = ca_file
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": user_agent}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        context = ssl.create_default_context(cafile=str(self._ca_file))
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=None)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object:
        return await self._call("GET", kind.path(namespace, name))

    async def list(
        self, kind: Kind, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> tuple[list[Object], str]:
        """The items and the resourceVersion from which a watch goes on."""
        query = _selectors(label_selector, field_selector)
        answer = await self._call("GET", kind.path(namespace), query=query)
        items = [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in answer["items"]]
        return items, answer["metadata"]["resourceVersion"]

    async def create(self, kind: Kind, body: Object, namespace: str | None = None) -> Object:
        namespace = namespace or body["metadata"].get("namespace")
        body = {"apiVersion": kind.api_version, "kind": kind.name, **body}
        return await self._call("POST", kind.path(namespace), body=body)

    async def create_subresource(self, kind: Kind, name: str, namespace: str, subresource: str, body: Object) -> Object:
        """POST to a subresource, such as a pod's binding or eviction."""
        return await self._call("POST", kind.path(namespace, name, subresource), body=body)

    async def replace(self, kind: Kind, body: Object, *, subresource: str = "") -> Object:
        """PUT the object; its metadata.resourceVersion makes a concurrent change a ConflictError."""
        meta = body["metadata"]
        return await self._call("PUT", kind.path(meta.get("namespace"), meta["name"], subresource), body=body)

    async def patch(
        self, kind: Kind, name: str, patch: Object | Sequence[Object], namespace: str | None = None, *,
        type: str = "merge", subresource: str = "",
    ) -> Object:
        """PATCH with type merge, json or strategic; subresource "status" patches only the status."""
        path = kind.path(namespace, name, subresource)
        return await self._call("PATCH", path, body=patch, content_type=PATCH_TYPES[type])

    async def delete(
        self, kind: Kind, name: str, namespace: str | None = None, *, uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """DELETE; an object that is gone already is not an error."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._call("DELETE", kind.path(namespace, name), body=options)
        except NotFoundError:
            return

    async def guest(self, method: str, namespace: str, name: str, call: str, body: Object | None = None) -> Object:
        """Call a subresource of a VirtualMachineInstance, which its node answers: freeze, unfreeze, copies/...

        Raises TimeoutError besides: a node that has lost its power closes no connection.
        """
        where = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachineinstances/{name}/{call}"
        async with asyncio.timeout(GUEST_SECONDS):
            return await self._call(method, where, body=body)

    async def machine(self, namespace: str, name: str, call: str) -> None:
        """Call a subresource of a VirtualMachine: start, stop, restart."""
        path = f"/apis/subresources.kubevirt.io/v1/namespaces/{namespace}/virtualmachines/{name}/{call}"
        async with self._open.put(self._server + path, data="{}") as answer:
            if answer.status >= 400:
                raise await _refusal(answer)

    async def watch(
        self, kind: Kind, resource_version: str, namespace: str | None = None, *,
        label_selector: str = "", field_selector: str = "",
    ) -> AsyncIterator[tuple[str, Object]]:
        """Yield (ADDED | MODIFIED | DELETED | BOOKMARK, object) until the server ends the stream.

        Raises ExpiredError when the history no longer covers resource_version.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": resource_version}
        query |= _selectors(label_selector, field_selector)
        async with self._open.get(self._server + kind.path(namespace), params=query) as answer:
            if answer.status >= 400:
                raise await _refusal(answer, watching=True)
            while line := await answer.content.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise _error(event["object"], watching=True)
                yield event["type"], event["object"]

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the client is used outside of its 'async with' block")
        return self._session

    async def _call(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if data else {}
        async with self._open.request(method, self._server + path, params=query, data=data, headers=headers) as answer:
            if answer.status >= 400:
                raise await _refusal(answer)
            content: Object = await answer.json(content_type=None)
            return content


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in pairs.items() if value}


Handler = Callable[[str, Object], None]


class Informer:
    """A local copy of one kind, kept current by list and watch.

    Handlers get (ADDED | MODIFIED | DELETED, object) after the copy has changed; they must not block.
    `synced` is set after the first list. A lost connection is taken up again from the last version seen; after a
    410 the kind is listed anew and the handlers are told the differences.
    """

    def __init__(
        self, client: Client, kind: Kind, *, namespace: str | None = None, label_selector: str = "",
        field_selector: str = "",
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._client = client
        self._namespace = namespace
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._items: dict[str, Object] = {}
        self._groups: dict[Index, Groups] = {}
        self._handlers: list[Handler] = []

    @staticmethod
    def key(item: Object) -> str:
        """`namespace/name`, or the name alone for what has no namespace."""
        meta = item["metadata"]
        return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])

    def add_handler(self, handler: Handler) -> None:
        self._handlers.append(handler)

    def get(self, key: str) -> Object | None:
        return self._items.get(key)

    def items(self) -> list[Object]:
        return list(self._items.values())

    def groups(self, index: Index) -> Groups:
        """The objects as the index files them; kept current from the first time that somebody asks."""
        found = self._groups.get(index)
        if found is None:
            found = self._groups[index] = Groups(index)
            for key, item in self._items.items():
                found.put(key, item)
        return found

    async def run(self) -> None:
        """List, then watch, for ever; cancel the task to stop it."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist()
                    self.synced.set()
                async for event, item in self._client.watch(
                    self.kind, version, self._namespace, **self._selectors
                ):
                    version = item["metadata"]["resourceVersion"]
                    if event != "BOOKMARK":
                        self._apply(event, item)
            except ExpiredError:
                version = ""
            except (aiohttp.ClientError, ApiError, TimeoutError, OSError) as error:
                log.info("watch of %s interrupted: %s", self.kind.plural, error)
                await asyncio.sleep(0.2)

    async def _relist(self) -> str:
        items, version = await self._client.list(self.kind, self._namespace, **self._selectors)
        fresh = {self.key(item): item for item in items}
        for key in [key for key in self._items if key not in fresh]:
            self._apply("DELETED", self._items[key])
        for key, item in fresh.items():
            known = self._items.get(key)
            if known is None or known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._apply("MODIFIED" if known else "ADDED", item)
        return version

    def _apply(self, event: str, item: Object) -> None:
        key = self.key(item)
        if event == "DELETED":
            self._items.pop(key, None)
        else:
            self._items[key] = item
        for groups in self._groups.values():
            if event == "DELETED":
                groups.drop(key)
            else:
                groups.put(key, item)
        for handler in self._handlers:
            handler(event, item)
