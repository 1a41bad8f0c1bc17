"""The HTTP application: Redfish requests in, documents out, power switched."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Protocol

from aiohttp import web

from lab.config import LabConfig
from lab.redfish import documents
from lab.redfish.access import TOKEN_HEADER, Access
from lab.redfish.documents import Document

_OPEN = ("/redfish", "/redfish/v1")
"""What the standard lets anybody read."""
_TURNS_OFF = ("ForceOff", "GracefulShutdown", "ForceRestart")
_TURNS_ON = ("On", "ForceRestart")
log = logging.getLogger(__name__)


class Switch(Protocol):
    """The nodes' power; its methods may block."""

    def is_on(self, node: str) -> bool:
        """Whether the node has power."""

    def off(self, node: str) -> None:
        """Cut the power; a node without power stays as it is."""

    def on(self, node: str) -> None:
        """Give power; a node that has it stays as it is."""


class RefusalError(Exception):
    """The request cannot be done; becomes an answer with a message of the base registry."""

    def __init__(self, status: int, message: str, text: str, *arguments: str) -> None:
        super().__init__(text)
        self.status = status
        self.document = documents.error(message, text, *arguments)


class Service:
    """One controller for all nodes of a lab; what is asked of a node is done one after another."""

    def __init__(self, config: LabConfig, access: Access, switch: Switch) -> None:
        self._config = config
        self._access = access
        self._switch = switch
        self._locks = {node: asyncio.Lock() for node in config.nodes}

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = "/" + request.path.strip("/")
        try:
            self._admit(request, path)
            return await self._dispatch(request, path)
        except RefusalError as error:
            return _json(error.document, error.status)
        except Exception as error:
            # One broken request must neither stop the service nor leave a client without a document.
            log.exception("%s %s failed", request.method, path)
            return _json(documents.error("InternalError", f"{type(error).__name__}: {error}"), 500)

    def _admit(self, request: web.Request, path: str) -> None:
        logs_in = request.method == "POST" and path == documents.SESSIONS
        if path not in _OPEN and not logs_in and not self._access.admits(request.headers):
            raise RefusalError(401, "NoValidSession", "A session or basic authentication is needed.")

    async def _dispatch(self, request: web.Request, path: str) -> web.StreamResponse:
        if request.method in ("GET", "HEAD"):
            return _json(self._document(path))
        if request.method == "POST" and path == documents.SESSIONS:
            return self._log_in(await _body(request))
        if request.method == "DELETE" and path.startswith(f"{documents.SESSIONS}/"):
            return self._log_out(path)
        node = path.removeprefix(f"{documents.SYSTEMS}/").removesuffix(f"/{documents.RESET}")
        if request.method == "POST" and path == f"{documents.SYSTEMS}/{node}/{documents.RESET}":
            return await self._reset(self._known(node, path), await _body(request))
        self._document(path)
        raise RefusalError(405, "OperationNotAllowed", f"{request.method} is not possible at {path}.")

    def _document(self, path: str) -> Document:
        fixed = {
            "/redfish": documents.versions(), "/redfish/v1": documents.service_root(self._config.name),
            documents.SESSION_SERVICE: documents.session_service(),
            documents.SESSIONS: documents.sessions(self._access.sessions),
            documents.SYSTEMS: documents.systems(self._config.nodes),
        }
        if path in fixed:
            return fixed[path]
        folder, _, name = path.rpartition("/")
        if folder == documents.SESSIONS and name in self._access.sessions:
            return documents.session(name, self._access.user)
        node = self._known(name if folder == documents.SYSTEMS else "", path)
        return documents.system(self._config.name, node, on=self._switch.is_on(node))

    def _known(self, node: str, path: str) -> str:
        if node not in self._locks:
            raise RefusalError(404, "ResourceMissingAtURI", f"There is nothing at {path}.", path)
        return node

    def _log_in(self, body: Document) -> web.Response:
        opened = self._access.log_in(str(body.get("UserName", "")), str(body.get("Password", "")))
        if opened is None:
            raise RefusalError(401, "InsufficientPrivilege", "The user name or the password is wrong.")
        name, token = opened
        where = f"{documents.SESSIONS}/{name}"
        return _json(documents.session(name, self._access.user), 201, {TOKEN_HEADER: token, "Location": where})

    def _log_out(self, path: str) -> web.Response:
        if not self._access.log_out(path.rpartition("/")[2]):
            raise RefusalError(404, "ResourceMissingAtURI", f"There is nothing at {path}.", path)
        return _no_content()

    async def _reset(self, node: str, body: Document) -> web.Response:
        kind = body.get("ResetType")
        if kind is None:
            text = "The action Reset needs the parameter ResetType."
            raise RefusalError(400, "ActionParameterMissing", text, "Reset", "ResetType")
        if kind not in documents.RESET_TYPES:
            text = f"The value {kind!r} of ResetType is none of {', '.join(documents.RESET_TYPES)}."
            raise RefusalError(400, "ActionParameterNotSupported", text, "ResetType", "Reset")
        async with self._locks[node]:
            if kind in _TURNS_OFF:
                await asyncio.to_thread(self._switch.off, node)
            if kind in _TURNS_ON:
                await asyncio.to_thread(self._switch.on, node)
        log.info("%s: %s", node, kind)
        return _no_content()


async def _body(request: web.Request) -> Document:
    try:
        body: Any = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        raise RefusalError(400, "MalformedJSON", "The body is no JSON object.")
    return body


def _json(document: Document, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(document, status=status, headers={"OData-Version": "4.0", **(headers or {})})


def _no_content() -> web.Response:
    return web.Response(status=204, headers={"OData-Version": "4.0"})
