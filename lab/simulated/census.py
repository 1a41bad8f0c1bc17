"""Who asks the API server how often for what: counted there, so that a client's own count can be checked against it."""

from __future__ import annotations

from collections import Counter, defaultdict

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab.api import routes
from lab.api.errors import PlainError, StatusError

PATH = "/simulated/requests"
"""Answers the counts so far, to anybody: by the first word of the user agent, then by verb and resource."""


def counting() -> Middleware:
    """A middleware that counts every request, answered or not, and shows the counts at PATH."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == PATH:
            return web.json_response(counts)
        agent = request.headers.get("User-Agent", "nobody").partition("/")[0]
        counts[agent][_what(request)] += 1
        return await handler(request)

    return count


def _what(request: web.Request) -> str:
    """The verb and the resource, as `list pods`; the path's head for what is no resource."""
    try:
        place = routes.parse(request.path).place
    except (StatusError, PlainError, IndexError):
        return f"{request.method} /{request.path.strip('/').partition('/')[0]}"
    resource = f"{place.kind.plural}/{place.subresource}" if place.subresource else place.kind.plural
    verb = request.method.lower()
    if request.method == "GET" and not place.name:
        verb = "watch" if request.query.get("watch") in ("true", "1") else "list"
    return f"{verb} {resource}"
