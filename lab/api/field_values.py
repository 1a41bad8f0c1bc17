"""Objects seen as sets of fields: what one has, how two differ, one merged into another, fields taken out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lab.api.errors import Object
from lab.api.field_paths import Fields, Path
from lab.api.field_schema import ABSENT, BadListError, applied_itself, children, updated_itself
from lab.kinds import Kind


def field_set(kind: Kind, body: Object) -> Fields:
    """The fields of an applied configuration. Raises BadListError."""
    return frozenset(_members(kind, (), body))


def _members(kind: Kind, path: Path, value: Any) -> Iterable[Path]:
    below = children(kind, path, value)
    if below is None:
        yield path
        return
    if path and applied_itself(kind, path):
        yield path
    for element, child in below.items():
        yield from _members(kind, (*path, element), child)


@dataclass
class Changes:
    """The fields in which two objects differ."""

    added: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)


def compare(kind: Kind, old: Object, new: Object) -> Changes:
    """How `new` differs from `old`; parts that are equal cost one comparison."""
    changes = Changes()
    _compare(kind, (), old, new, changes)
    return changes


def _compare(kind: Kind, path: Path, old: Any, new: Any, changes: Changes) -> None:
    if old == new and old is not ABSENT:
        return
    before, after = _children(kind, path, old), _children(kind, path, new)
    if before is None and after is None:
        _set_of(changes, old, new).add(path)
        return
    if (before is None and old not in (ABSENT, None, {}, [])) or (after is None and new not in (ABSENT, None, {}, [])):
        changes.modified.add(path)
        return
    if (old is ABSENT or new is ABSENT) and path and updated_itself(kind, path):
        _set_of(changes, old, new).add(path)
    for element in {**(before or {}), **(after or {})}:
        _compare(kind, (*path, element), (before or {}).get(element, ABSENT), (after or {}).get(element, ABSENT),
                 changes)


def _set_of(changes: Changes, old: Any, new: Any) -> set[Path]:
    if old is ABSENT:
        return changes.added
    return changes.removed if new is ABSENT else changes.modified


def _children(kind: Kind, path: Path, value: Any) -> Object | None:
    """What others wrote may break a list's rule; such a list is then taken as a whole."""
    try:
        return children(kind, path, value)
    except BadListError:
        return None


def merge(kind: Kind, live: Object, config: Object) -> Object:
    """`live` with what `config` says. Raises BadListError for a list of `config`."""
    merged: Object = _merge(kind, (), live, config)
    return merged


def _merge(kind: Kind, path: Path, live: Any, config: Any) -> Any:
    wished = children(kind, path, config)
    known = _children(kind, path, live) or {}
    if wished is None:
        # Nothing wished is no wish to empty what others fill, but for what is owned as a whole.
        return live if known and config in ({}, []) else config
    if isinstance(config, dict):
        result = dict(live) if isinstance(live, dict) else {}
        for element, value in wished.items():
            result[element[2:]] = _merge(kind, (*path, element), known.get(element, ABSENT), value)
        return result
    merged = {element: _merge(kind, (*path, element), known.get(element, ABSENT), value)
              for element, value in wished.items()}
    return list(_in_order(known, merged).values())


def _in_order(known: Object, merged: Object) -> Object:
    """The wished elements in their order, in the places that they have; new ones at the end, as others stand still."""
    queue = iter([element for element in merged if element in known])
    result: Object = {}
    for element, value in known.items():
        place = next(queue) if element in merged else element
        result[place] = merged.get(place, value)
    return {**result, **merged}


def remove(kind: Kind, body: Object, paths: Iterable[Path]) -> Object:
    """A copy of `body` without these fields and whatever is below them."""
    gone = frozenset(paths)
    pruned: Object = _remove(kind, (), body, gone)
    return pruned


def _remove(kind: Kind, path: Path, value: Any, gone: Fields) -> Any:
    below = _children(kind, path, value)
    if below is None:
        return value
    kept = {element: _remove(kind, (*path, element), child, gone)
            for element, child in below.items() if (*path, element) not in gone}
    return {element[2:]: child for element, child in kept.items()} if isinstance(value, dict) else list(kept.values())
