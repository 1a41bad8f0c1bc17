"""Requests passed on into the lab's network: container logs, service and pod proxies, guest operations."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from lab.api import netns
from lab.api.errors import StatusError

CONNECT_SECONDS = 5.0
_HOP_HEADERS = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "authorization", "content-length", "accept-encoding", "content-encoding",
})


class Dialer:
    """Opens connections from the fabric's network namespace, or from this one when there is no fabric.

    Use it as an async context manager.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Dialer:
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, socket_factory=self._socket, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    def _socket(self, address: Any) -> socket.socket:
        family, kind, protocol, *_ = address

        def make() -> socket.socket:
            return socket.socket(family, kind, protocol)

        made = netns.create_socket(self._namespace, make) if netns.exists(self._namespace) else make()
        made.setblocking(False)
        return made

    async def call(self, method: str, url: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        """(status, content type, body). Raises StatusError 503 when nothing answers."""
        try:
            async with self._open.request(
                method, url, data=body, headers={"Content-Type": "application/json"} if body else None
            ) as answer:
                return answer.status, answer.content_type, await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(url, error) from error

    async def forward(self, request: web.Request, url: str, *, query: bool = True) -> web.StreamResponse:
        """Send the request on to `url` and stream the answer back. Raises StatusError 503 when nothing answers."""
        headers = CIMultiDict(
            (key, value) for key, value in request.headers.items() if key.lower() not in _HOP_HEADERS
        )
        data = await request.read() if request.body_exists else None
        target = f"{url}?{request.query_string}" if query and request.query_string else url
        try:
            answer = await self._open.request(request.method, target, headers=headers, data=data, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(url, error) from error
        async with answer:
            return await _stream(request, answer)

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the dialer is used outside of its 'async with' block")
        return self._session


async def _stream(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    for key, value in answer.headers.items():
        if key.lower() not in _HOP_HEADERS or key.lower() == "content-encoding":
            response.headers.add(key, value)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def unreachable(url: str, error: BaseException) -> StatusError:
    text = f"error trying to reach service: {error or type(error).__name__} ({url})"
    return StatusError(503, "ServiceUnavailable", text)
