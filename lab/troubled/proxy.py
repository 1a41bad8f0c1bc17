"""The proxy: passes requests on to an API server and streams the answers back, but for the trouble that is planned."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from lab.troubled.plan import Plan, Trouble

Tell = Callable[[Mapping[str, Any]], None]

HOST = "127.0.0.1"
MAX_BODY_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 65536
_HOP_HEADERS = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "host", "content-length",
})
_REASONS = {
    410: "Expired", 429: "TooManyRequests", 500: "InternalError", 502: "BadGateway", 503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass
class Proxy:
    """One troubled way to an API server; `run` serves it until it is cancelled.

    `tell` is handed what each troubled request met: number, method, path, kind, and code or seconds.
    """

    upstream: str
    port: int
    trusted: ssl.SSLContext
    """To verify the API server."""
    identity: ssl.SSLContext
    """To be verified by clients."""
    plan: Plan
    tell: Tell
    passed_on: int = 0
    _numbers: count[int] = field(default_factory=count)
    _outage: asyncio.Event = field(default_factory=asyncio.Event)
    _outage_seconds: float = 0.0
    _session: aiohttp.ClientSession | None = None

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve; while there is an outage nobody listens. `ready` is called once somebody does."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        connector = aiohttp.TCPConnector(limit=0, ssl=self.trusted)
        timeout = aiohttp.ClientTimeout(total=None, connect=10)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            await runner.setup()
            try:
                while True:
                    site = web.TCPSite(runner, HOST, self.port, ssl_context=self.identity, reuse_address=True)
                    await site.start()
                    ready()
                    await self._outage.wait()
                    await site.stop()
                    # Also those that are idle: on them a client would be served although nobody listens.
                    for connection in runner.server.connections if runner.server else ():
                        if connection.transport is not None:
                            _reset(connection.transport)
                    await asyncio.sleep(self._outage_seconds)
                    self._outage.clear()
            finally:
                await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        number, watch = next(self._numbers), request.query.get("watch") in ("true", "1")
        trouble = self.plan.trouble(number, watch=watch)
        if trouble:
            self.tell(_facts(number, request, trouble))
        transport = request.transport
        assert transport is not None
        try:
            return await self._meet(request, transport, trouble)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _status(502, f"the API server cannot be reached: {type(error).__name__}")

    async def _meet(
        self, request: web.Request, transport: asyncio.Transport, trouble: Trouble | None
    ) -> web.StreamResponse:
        kind = trouble.kind if trouble else ""
        if trouble is None:
            return await self._pass_on(request)
        if kind in ("busy", "error"):
            return _status(trouble.code, f"{kind} by plan", trouble.seconds if kind == "busy" else None)
        if kind == "watch-expired":
            return _expired(trouble)
        if kind == "delay":
            await asyncio.sleep(trouble.seconds)
            return await self._pass_on(request)
        if kind == "outage":
            self._outage_seconds = trouble.seconds
            self._outage.set()
        if kind in ("reset", "outage"):
            return _gone(transport)
        if kind == "watch-cut":
            asyncio.get_running_loop().call_later(trouble.seconds, _reset, transport)
            return await self._pass_on(request)
        return await self._answer_lost(request, transport, trouble)

    async def _answer_lost(
        self, request: web.Request, transport: asyncio.Transport, trouble: Trouble
    ) -> web.StreamResponse:
        """What was asked is carried out, and the client does not hear of it, or only the beginning."""
        async with self._ask(request) as answer:
            body = await answer.read()
            if trouble.kind == "error-after":
                return _status(trouble.code, "error by plan, after the request was passed on")
            if trouble.kind == "cut":
                await _cut(request, answer, body, trouble.share)
            return _gone(transport)

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        async with self._ask(request) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_kept(answer.headers))
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    def _ask(self, request: web.Request) -> aiohttp.client._RequestContextManager:
        assert self._session is not None
        self.passed_on += 1
        data = request.content.iter_chunked(_CHUNK_BYTES) if request.can_read_body else None
        return self._session.request(
            request.method, f"{self.upstream}{request.raw_path}", headers=_kept(request.headers), data=data,
            allow_redirects=False,
        )


def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HOP_HEADERS)


def _status(code: int, message: str, retry_after: float | None = None) -> web.Response:
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "reason": _REASONS[code], "message": message,
    }
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:.0f}"}
    return web.json_response(body, status=code, headers=headers)


def _expired(trouble: Trouble) -> web.Response:
    """By a status, or by an event of the watch."""
    status = _status(410, "too old resource version, by plan")
    if trouble.share < 0.5:
        return status
    event = {"type": "ERROR", "object": json.loads(status.text or "")}
    return web.Response(text=json.dumps(event) + "\n", content_type="application/json")


async def _cut(request: web.Request, answer: aiohttp.ClientResponse, body: bytes, share: float) -> None:
    headers = _kept(answer.headers)
    headers["Content-Length"] = str(len(body))
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    await response.write(body[: int(len(body) * share)])


def _gone(transport: asyncio.Transport) -> web.Response:
    _reset(transport)
    # What is returned on a connection that is gone goes nowhere.
    return web.Response(status=500)


def _reset(transport: asyncio.Transport) -> None:
    """End a connection as a crash does: without a farewell of TLS, by a TCP reset."""
    plain = transport.get_extra_info("socket")
    if plain is not None and plain.fileno() >= 0:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _facts(number: int, request: web.Request, trouble: Trouble) -> dict[str, Any]:
    facts = {"code": trouble.code, "seconds": trouble.seconds}
    return {
        "time": round(time.time(), 3), "number": number, "method": request.method, "path": request.path,
        "kind": trouble.kind, **{name: value for name, value in facts.items() if value},
    }
