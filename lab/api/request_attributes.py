"""What a request wants to do, read from its method, path and query alone, before anything else looks at it."""

from __future__ import annotations

from collections.abc import Mapping

from lab.api import options
from lab.api.caller import Attributes

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_NAMESPACES = ("status", "finalize")


def is_resource(parts: list[str]) -> bool:
    """Whether a path, split, is that of a resource rather than a document such as a discovery list."""
    return (parts[0] == "api" and len(parts) > 2) or (parts[0] == "apis" and len(parts) > 3)


def attributes(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """As Kubernetes' RequestInfo resolves a request: a list by metadata.name names an object, /watch/ is a verb."""
    parts = path.strip("/").split("/")
    if not is_resource(parts):
        return Attributes(method.lower(), path=path)
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    verb = _VERBS.get(method, "")
    if rest[0] == "watch" and len(rest) > 1:
        verb, rest = "watch", rest[1:]
    namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 1 else ""
    if namespace and len(rest) > 2 and rest[2] not in _OF_NAMESPACES:
        rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    if not name and verb in ("get", "delete"):
        verb = {"get": "list", "delete": "deletecollection"}[verb]
        if verb == "list" and options.is_true(query.get("watch")):
            verb = "watch"
    if not name and verb in ("list", "watch", "deletecollection"):
        name = _selected_name(query.get("fieldSelector", ""))
    return Attributes(verb, group, resource, subresource, namespace, name)


def _selected_name(field_selector: str) -> str:
    for term in field_selector.split(","):
        key, _, value = term.partition("=")
        if key.strip() == "metadata.name" and value:
            return value.removeprefix("=").strip()
    return ""
