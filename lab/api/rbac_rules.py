"""Rules of roles: whether one allows a request, and whether some cover another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from lab.api.caller import Attributes
from lab.api.errors import Object

ALL = "*"


def allows(rule: Object, wanted: Attributes) -> bool:
    if not _has(rule, "verbs", wanted.verb):
        return False
    if wanted.path:
        return any(_covers_path(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or [])
    names = rule.get("resourceNames") or []
    return (
        _has(rule, "apiGroups", wanted.group)
        and _covers_resource(rule.get("resources") or [], wanted.resource, wanted.subresource)
        and (not names or wanted.name in names)
    )


def _has(rule: Object, field: str, value: str) -> bool:
    values = rule.get(field) or []
    return ALL in values or value in values


def _covers_resource(patterns: Sequence[str], resource: str, subresource: str) -> bool:
    """`*` is everything, `*/scale` that subresource of everything; a resource does not cover its subresources."""
    if ALL in patterns or (f"{resource}/{subresource}" if subresource else resource) in patterns:
        return True
    return bool(subresource) and f"*/{subresource}" in patterns


def _covers_path(pattern: str, path: str) -> bool:
    if pattern in (ALL, path):
        return True
    return pattern.endswith("*") and path.startswith(pattern[:-1])


def uncovered(wanted: Iterable[Object], held: Sequence[Object]) -> list[Object]:
    """The parts of the wanted rules that no held rule grants, as rules about one thing each."""
    return [part for rule in wanted for part in _parts(rule) if not any(_grants(own, part) for own in held)]


def _parts(rule: Object) -> Iterator[Object]:
    for verb, path in product(rule.get("verbs") or [], rule.get("nonResourceURLs") or []):
        yield {"nonResourceURLs": [path], "verbs": [verb]}
    names = [[name] for name in rule.get("resourceNames") or []] or [[]]
    wanted = product(rule.get("verbs") or [], rule.get("apiGroups") or [], rule.get("resources") or [], names)
    for verb, group, resource, name in wanted:
        part: Object = {"apiGroups": [group], "resources": [resource]}
        yield {**part, **({"resourceNames": name} if name else {}), "verbs": [verb]}


def _grants(own: Object, part: Object) -> bool:
    if not _has(own, "verbs", part["verbs"][0]):
        return False
    if "nonResourceURLs" in part:
        return any(_covers_path(pattern, part["nonResourceURLs"][0]) for pattern in own.get("nonResourceURLs") or [])
    names = own.get("resourceNames") or []
    resource, _, subresource = part["resources"][0].partition("/")
    return (
        _has(own, "apiGroups", part["apiGroups"][0])
        and _covers_resource(own.get("resources") or [], resource, subresource)
        and (not names or ("resourceNames" in part and part["resourceNames"][0] in names))
    )


def shown(rule: Object) -> str:
    """As the server prints a rule that somebody lacks: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`."""
    fields = (("apiGroups", "APIGroups"), ("resources", "Resources"), ("resourceNames", "ResourceNames"),
              ("nonResourceURLs", "NonResourceURLs"), ("verbs", "Verbs"))
    texts = [f"{title}:[{' '.join(json.dumps(item) for item in rule[key])}]" for key, title in fields if rule.get(key)]
    return f"{{{', '.join(texts)}}}"
