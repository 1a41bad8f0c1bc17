"""Older versions of a kind, served beside the one that is stored; without conversion, as their definitions say.

Requests on an older version are requests on the stored one, and answers bear the version that was asked for.
"""

from __future__ import annotations

from aiohttp import web

from lab.api.routes import Route


def answer(route: Route, response: web.StreamResponse) -> web.StreamResponse:
    """The answer to a request on a route, in the route's version; a stream has been written already."""
    if isinstance(response, web.Response) and isinstance(response.body, bytes) and route.version:
        response.body = text(route, response.body)
    return response


def text(route: Route, data: bytes) -> bytes:
    """Objects and lists of the route's kind in the route's version; what they say of other objects stays."""
    kind = route.place.kind
    if not route.version or route.version == kind.version:
        return data
    for name in (kind.name, f"{kind.name}List"):
        stored = f'"kind":"{name}","apiVersion":"{kind.group}/{kind.version}"'.encode()
        data = data.replace(stored, f'"kind":"{name}","apiVersion":"{kind.group}/{route.version}"'.encode())
    return data
