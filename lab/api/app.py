"""The HTTP application: authentication, the paths outside of resources, and errors as Status answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from lab.api import discovery, handlers, older_versions, openapi, reviews, routes, subresources
from lab.api.caller import Caller
from lab.api.context import Context
from lab.api.errors import Object, PlainError, StatusError, internal, method_not_allowed, unknown_path
from lab.api.faults import Faults
from lab.api.handlers import json_answer
from lab.api.negotiate import DISCOVERY, Form, parse_accept
from lab.api.request_attributes import attributes, is_resource

MAX_BODY_BYTES = 3 * 1024 * 1024
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
log = logging.getLogger(__name__)


def build(context: Context) -> web.Application:
    """The application; its requests may come by any listener."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", Faults(context.store).guard(_guarded(context)))
    return app


def _guarded(context: Context) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await _dispatch(request, context)
        except StatusError as error:
            return _status_answer(error)
        except PlainError as error:
            return web.Response(text=error.text, status=error.code, headers=error.headers)
        except web.HTTPRequestEntityTooLarge:
            return _status_answer(StatusError(413, "RequestEntityTooLarge", "limit is 3145728"))
        except Exception as error:
            # One broken request must neither stop the server nor leave a client without a Status.
            log.exception("%s %s failed", request.method, request.path_qs)
            return _status_answer(internal(f"{type(error).__name__}: {error}"))

    return handler


def _status_answer(error: StatusError) -> web.Response:
    response = json_answer(error.status(), Form(), error.code)
    response.headers.update(error.headers)
    return response


async def _dispatch(request: web.Request, context: Context) -> web.StreamResponse:
    caller = context.authenticator.authenticate(request.headers, request.query)
    parts = request.path.strip("/").split("/")
    if request.method not in _METHODS:
        raise method_not_allowed()
    if not caller.allowed:
        context.authorizer.require(caller, attributes(request.method, request.path, request.query))
    if is_resource(parts):
        return await _resource(request, context, caller, parts)
    return _document(request, context, parts)


async def _resource(
    request: web.Request, context: Context, caller: Caller, parts: list[str]
) -> web.StreamResponse:
    if parts[0] == "apis" and parts[1] == discovery.SUBRESOURCES_GROUP:
        if parts[2] not in discovery.SUBRESOURCES_VERSIONS:
            raise unknown_path()
        return await subresources.handle(request, context, caller, parts[3:])
    if parts[0] == "apis" and parts[1] in reviews.GROUPS:
        return await reviews.handle(request, context, caller, parts[1:])
    route = routes.parse(request.path)
    return older_versions.answer(route, await handlers.handle(request, context, caller, route))


def _document(request: web.Request, context: Context, parts: list[str]) -> web.Response:
    head = parts[0]
    if head in ("healthz", "livez", "readyz"):
        return web.Response(text="ok")
    if request.method != "GET":
        raise method_not_allowed()
    if head == "openapi":
        return _openapi(request, parts[1:])
    if head in ("api", "apis"):
        return _discovery(request, context, parts)
    found = {"version": discovery.KUBERNETES_VERSION, "": discovery.root_paths()}.get("/".join(parts))
    if found is None:
        raise PlainError(404, "404 page not found\n")
    return json_answer(found, Form())


def _discovery(request: web.Request, context: Context, parts: list[str]) -> web.Response:
    if len(parts) == 1:
        form = parse_accept(request.headers.get("Accept", ""), (DISCOVERY,))
        if form.kind == DISCOVERY:
            response = json_answer(discovery.aggregated(parts[0] == "api"), form)
            response.headers["Content-Type"] = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            response.headers["Vary"] = "Accept"
            return response
        core = parts[0] == "api"
        return json_answer(discovery.api_versions(context.address) if core else discovery.group_list(), form)
    found: Object | None
    if parts[0] == "api":
        found = discovery.resource_list("", parts[1])
    elif len(parts) == 2:
        found = discovery.group(parts[1])
        if found is None:
            raise PlainError(404, "404 page not found\n")
    else:
        found = discovery.resource_list(parts[1], parts[2])
    if found is None:
        raise unknown_path()
    return json_answer(found, Form())


def _openapi(request: web.Request, parts: list[str]) -> web.Response:
    if parts == ["v2"]:
        accept = request.headers.get("Accept", "")
        for media in openapi.PROTOBUF_TYPES:
            if media in accept:
                return web.Response(
                    body=openapi.document_v2_protobuf(), headers={"Content-Type": openapi.PROTOBUF_ANSWER}
                )
        return json_answer(openapi.document_v2(), Form())
    if parts == ["v3"]:
        return json_answer(openapi.index_v3(), Form())
    found = openapi.document_v3("/".join(parts[1:])) if parts[:1] == ["v3"] else None
    if found is None:
        raise PlainError(404, "404 page not found\n")
    return json_answer(found, Form())
