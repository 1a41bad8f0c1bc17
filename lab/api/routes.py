"""URL paths: what each means, as one parsed value."""

from __future__ import annotations

from dataclasses import dataclass

from lab.api.errors import unknown_path
from lab.api.resources import Place
from lab.kinds import KINDS, Kind

_BY_PATH = {(kind.group, version, kind.plural): kind for kind in KINDS for version in kind.versions}
SUBRESOURCES = {
    "Pod": ("status", "binding", "eviction", "log", "exec", "attach", "portforward", "proxy", "ephemeralcontainers"),
    "Service": ("status", "proxy"),
    "Namespace": ("status", "finalize"),
    "Node": ("status",),
    "ServiceAccount": ("token",),
}


@dataclass(frozen=True)
class Route:
    """A resource path: the place, what follows its subresource (for a proxy), and the legacy /watch/ form.

    `version` is the one that was asked for; the place's kind has the one that is stored.
    """

    place: Place
    rest: str = ""
    legacy_watch: bool = False
    version: str = ""


def find_kind(group: str, version: str, plural: str) -> Kind | None:
    return _BY_PATH.get((group, version, plural))


def parse(path: str) -> Route:
    """The route of a path below /api/<version> or /apis/<group>/<version>. Raises StatusError 404."""
    parts = path.strip("/").split("/")
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    legacy = rest[:1] == ["watch"]
    if legacy:
        rest = rest[1:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2 and rest[2] not in SUBRESOURCES["Namespace"]:
        namespace, rest = rest[1], rest[2:]
    kind = find_kind(group, version, rest[0]) if rest else None
    if kind is None or (namespace and not kind.namespaced):
        raise unknown_path()
    name = rest[1] if len(rest) > 1 else ""
    if name and kind.namespaced and not namespace:
        raise unknown_path()
    subresource = rest[2] if len(rest) > 2 else ""
    _check_subresource(kind, subresource, rest[3:])
    return Route(Place(kind, namespace, name, subresource), "/".join(rest[3:]), legacy, version)


def _check_subresource(kind: Kind, subresource: str, rest: list[str]) -> None:
    if not subresource:
        return
    known = SUBRESOURCES.get(kind.name, ("status",) if kind.status else ())
    if subresource not in known or (rest and subresource != "proxy"):
        raise unknown_path()
