"""What of an answer is compared: of a Status and of discovery all, of objects their fields, of lists the order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

NEVER = frozenset({"managedFields"})
"""Who owns which field is compared in the recorded applies of test_recorded.py; elsewhere the lab keeps no owners."""
_NAMES = ("name", "groupVersion", "version", "resource", "type", "field", "message", "serverAddress")
_IN_FULL = ("Status", "APIGroupList", "APIGroup", "APIResourceList", "APIVersions", "APIGroupDiscoveryList")
_MOMENTS = re.compile(r"current: \d+|version: \d+ \(\d+\)|\d{4}-\d\d-\d\dT[\d:.]+Z|(?<![\w.])\d+(\.\d+)?m?s\b")
"""Of a message: another store's revision, moments and durations."""
_UID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_HEADERS = ("content-type", "allow", "retry-after", "warning", "location")


@dataclass(frozen=True)
class Difference:
    """One point in which two answers are not alike."""

    path: str
    recorded: Any
    answered: Any

    def __str__(self) -> str:
        return f"{self.path}: recorded {_short(self.recorded)}, answered {_short(self.answered)}"


@dataclass(frozen=True)
class Reply:
    """One HTTP answer: `body` is parsed where it is JSON or YAML, None where only its size is known or it is binary."""

    status: int
    headers: dict[str, list[str]]
    body: Any


def differences(recorded: Reply, answered: Reply, translate: Callable[[Any], Any]) -> list[Difference]:
    """Every point in which an answer differs from the recorded one: status, headers, then the body.

    `translate` puts what the lab named itself in the place of what the recorded server did.
    """
    found = [] if recorded.status == answered.status else [Difference("status", recorded.status, answered.status)]
    for header in _HEADERS:
        one, other = _header(recorded, header), _header(answered, header)
        if one != other:
            found.append(Difference(header, one, other))
    if recorded.body is not None:
        found.extend(_bodies(translate(outline(recorded.body)), outline(answered.body)))
    return found


def _bodies(recorded: Any, answered: Any) -> Iterator[Difference]:
    """Bodies of two kinds have nothing in common that could be compared."""
    kinds = [body.get("kind") if isinstance(body, dict) else body for body in (recorded, answered)]
    if kinds[0] == kinds[1]:
        yield from compare(recorded, answered, "body")
    else:
        told = [body.get("message") if isinstance(body, dict) else "" for body in (recorded, answered)]
        yield Difference("body/kind", *(" ".join(filter(None, map(str, two))) for two in zip(kinds, told, strict=True)))


def outline(body: Any) -> Any:
    """What of a body is compared."""
    if isinstance(body, str):
        return _MOMENTS.sub("~", body)
    if not isinstance(body, dict):
        return body
    kind = str(body.get("kind"))
    if kind in _IN_FULL or "paths" in body:
        return _full({key: value for key, value in body.items() if key != "metadata" or value})
    if kind == "Table":
        own = _object({key: value for key, value in body.items() if key not in ("columnDefinitions", "rows")})
        rows = {_name(row.get("object") or {}): _object(row) for row in body.get("rows") or []}
        return {**own, "columnDefinitions": _full(body.get("columnDefinitions") or []), "rows": rows}
    if kind.endswith("List") and "items" in body:
        # A list in JSON may be null where it is empty, and a client takes both.
        items = body["items"] or []
        own = _object({key: value for key, value in body.items() if key != "items"})
        names = [_place(item) for item in items]
        return {**own, "sorted": names == sorted(names), "items": {_name(item): _object(item) for item in items}}
    return _object(body)


def _object(body: dict[str, Any]) -> dict[str, Any]:
    """An object's type and the paths of its fields, each with the types of its values; null is as good as absent."""
    types: dict[str, set[str]] = {}
    for path, kind in _fields(body, ""):
        types.setdefault(path, set()).add(kind)
    fields = {path: "|".join(sorted(kinds)) for path, kinds in types.items()}
    return {"kind": body.get("kind"), "apiVersion": body.get("apiVersion"), "fields": fields}


def _fields(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in NEVER and inner is not None:
                where = f"{path}.{_UID.sub('*', key)}" if path else key
                yield where, type(inner).__name__
                yield from _fields(inner, where)
    elif isinstance(value, list):
        for inner in value:
            yield from _fields(inner, f"{path}[]")


def _full(value: Any) -> Any:
    """A value in full; a list of named things becomes a map by their names, with their order."""
    if isinstance(value, dict):
        return {key: _full(inner) for key, inner in value.items()}
    if isinstance(value, list):
        keys = [_key(inner) for inner in value]
        if value and all(keys) and len(set(keys)) == len(keys):
            return {"order": keys, **{key: _full(inner) for key, inner in zip(keys, value, strict=True)}}
        return [_full(inner) for inner in value]
    return _MOMENTS.sub("~", value) if isinstance(value, str) else value


def _key(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    named = value.get("metadata") if isinstance(value.get("metadata"), dict) else value
    return next((str(named[name]) for name in _NAMES if named and named.get(name)), "")


def _name(body: dict[str, Any]) -> str:
    metadata = body.get("metadata") or {}
    name = f"{metadata['generateName']}*" if metadata.get("generateName") else metadata.get("name", "")
    return "/".join(filter(None, (metadata.get("namespace", ""), name)))


def _place(body: dict[str, Any]) -> tuple[str, str]:
    metadata = body.get("metadata") or {}
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _header(reply: Reply, name: str) -> list[str]:
    return [text.replace(" ", "") if name == "content-type" else text for text in reply.headers.get(name, [])]


def compare(recorded: Any, answered: Any, path: str) -> Iterator[Difference]:
    """Differences of two outlines; a list's order is compared as far as both have its members."""
    if isinstance(recorded, dict) and isinstance(answered, dict):
        for key in dict.fromkeys((*recorded, *answered)):
            if key == "order":
                yield from _order(recorded.get(key), answered.get(key), path)
            elif key not in recorded or key not in answered:
                yield Difference(f"{path}/{key}", recorded.get(key, "-"), answered.get(key, "-"))
            else:
                yield from compare(recorded[key], answered[key], f"{path}/{key}")
    elif recorded != answered:
        yield Difference(path, recorded, answered)


def _order(recorded: Any, answered: Any, path: str) -> Iterator[Difference]:
    if not isinstance(recorded, list) or not isinstance(answered, list):
        return
    one, other = [key for key in recorded if key in answered], [key for key in answered if key in recorded]
    if one != other:
        yield Difference(f"{path}/order", one, other)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"
