"""Requests counted: how often the Kubernetes API was asked for what, how it answered, and how many were repeats."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_OF_A_NAMESPACE = ("status", "finalize")
"""Subresources of the namespaces themselves; anything else below a namespace is a resource in it."""
_VERBS = {"POST": "create", "PUT": "update", "DELETE": "delete"}
_APPLY = "application/apply-patch+yaml"


class RequestKind(NamedTuple):
    """What is counted together."""

    verb: str
    """get, list, watch, create, update, patch, apply or delete; to the rules of RBAC an apply is a patch."""
    resource: str
    """The plural, with the subresource: `pods/eviction`; a path that names no resource, whole: `/version`."""
    code: int
    """The HTTP status of the answer; 0: there was none."""
    repeated: bool = False
    """Whether it was another try of a request that had met trouble."""


@dataclass(frozen=True)
class Requests(Mapping[RequestKind, int]):
    """How many requests of each kind were made, at a moment or between two of them."""

    counts: Mapping[RequestKind, int] = field(default_factory=dict)

    def __getitem__(self, kind: RequestKind) -> int:
        return self.counts[kind]

    def __iter__(self) -> Iterator[RequestKind]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __sub__(self, earlier: Requests) -> Requests:
        """What was made since an earlier snapshot of the same cluster."""
        return Requests(Counter(self.counts) - Counter(earlier.counts))

    @property
    def total(self) -> int:
        """Every request that was sent, repeats included."""
        return sum(self.counts.values())

    @property
    def repeats(self) -> int:
        """How many of them were repeats."""
        return sum(count for kind, count in self.counts.items() if kind.repeated)

    def by_resource(self) -> dict[tuple[str, str], int]:
        """How many of each (verb, resource), whatever the answer, repeats included; the most frequent first."""
        found: Counter[tuple[str, str]] = Counter()
        for kind, count in self.counts.items():
            found[kind.verb, kind.resource] += count
        return dict(found.most_common())


class RequestCounter:
    """Counts requests; several threads may tell it of theirs."""

    def __init__(self) -> None:
        self._counts: Counter[RequestKind] = Counter()
        self._lock = threading.Lock()

    def add(self, kind: RequestKind) -> None:
        with self._lock:
            self._counts[kind] += 1

    def snapshot(self) -> Requests:
        """What was counted until now."""
        with self._lock:
            return Requests(dict(self._counts))


def kind_of(
    method: str, path: str, code: int, *, content_type: str = "", watch: bool = False, repeated: bool = False
) -> RequestKind:
    """The kind of a request, told from its method and the URL's path (without host and query)."""
    resource, name = _resource_of(path)
    if method == "GET":
        verb = "watch" if watch else "get" if name else "list"
    elif method == "PATCH":
        verb = "apply" if content_type == _APPLY else "patch"
    else:
        verb = _VERBS.get(method, method.lower())
    return RequestKind(verb, resource, code, repeated)


def _resource_of(path: str) -> tuple[str, str]:
    """The plural with its subresource, and the object's name; the path itself, taken for a name, where it has none."""
    parts = path.strip("/").split("/")
    depth = {"api": 2, "apis": 3}.get(parts[0], len(parts))
    parts = parts[depth:]
    if not parts:
        return path, path
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in _OF_A_NAMESPACE:
        parts = parts[2:]
    plural, name, subresource, *_ = (*parts, "", "")
    return (f"{plural}/{subresource}" if subresource else plural), name
