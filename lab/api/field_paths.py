"""Paths of fields in an object, and sets of them in the form of metadata.managedFields (fieldsV1).

A path is a tuple of elements, each written as fieldsV1 writes it: `f:name` is a field, `k:{"name":"x"}` an element of
a list that merges by key, `v:"x"` an element of a list that is a set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lab.api.errors import Object

Path = tuple[str, ...]
Fields = frozenset[Path]

_MEMBER = "."


def field(name: str) -> str:
    return f"f:{name}"


def keyed(keys: Object) -> str:
    return f"k:{json.dumps(keys, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}"


def valued(value: Any) -> str:
    return f"v:{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}"


def is_field(element: str) -> bool:
    return element.startswith("f:")


def text(path: Path) -> str:
    """As a conflict names it: `.spec.containers[name="x"].image`."""
    return "".join(_element_text(element) for element in path)


def _element_text(element: str) -> str:
    head, _, rest = element.partition(":")
    if head == "f":
        return f".{rest}"
    if head == "v":
        return f"[={rest}]"
    pairs = (f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in json.loads(rest).items())
    return f"[{','.join(pairs)}]"


def encode(fields: Iterable[Path]) -> Object:
    """fieldsV1: an element that is itself owned beside elements below it has a "." for that."""
    root: Object = {}
    owned = sorted(fields)
    for path in owned:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node[_MEMBER] = {}
    return _pruned(root)


def _pruned(node: Object) -> Object:
    """Without the "." of what has nothing below it."""
    if set(node) <= {_MEMBER}:
        return {}
    return {key: _pruned(value) if key != _MEMBER else {} for key, value in sorted(node.items())}


def decode(tree: Object) -> Fields:
    """Raises ValueError for what is no fieldsV1."""
    return frozenset(_paths(tree, ()))


def _paths(node: Any, path: Path) -> Iterable[Path]:
    if not isinstance(node, dict):
        raise ValueError(f"no fieldsV1: {node!r}")  # noqa: TRY004 (a client's text, not a caller's mistake)
    for key, below in node.items():
        if key == _MEMBER:
            yield path
        elif below:
            yield from _paths(below, (*path, key))
        else:
            yield (*path, key)


def with_ancestors(fields: Iterable[Path]) -> set[Path]:
    """The paths and everything above them."""
    return {path[:length] for path in fields for length in range(1, len(path) + 1)}
