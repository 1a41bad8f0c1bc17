"""Objects filed under what is read from them, so that those of one owner or one node are found without a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.kinds import Kind

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Index:
    """How the objects of a kind are filed: under each value that is read from them; none leaves an object out."""

    kind: Kind
    values: Callable[[Object], Iterable[str]]


class Groups:
    """The groups of one index, kept current by whoever keeps the objects."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._groups: dict[str, dict[str, Object]] = {}
        self._filed: dict[str, tuple[str, ...]] = {}
        self._changes: dict[str, int] = {}
        self._count = 0

    def put(self, key: str, item: Object) -> None:
        """File an object, new or changed, under its key."""
        values = tuple(self._index.values(item))
        before = self._filed.get(key, ())
        for value in before:
            if value not in values:
                self._take_out(key, value)
        for value in values:
            self._groups.setdefault(value, {})[key] = item
            self._changed(value)
        self._filed[key] = values

    def drop(self, key: str) -> None:
        """The object is gone."""
        for value in self._filed.pop(key, ()):
            self._take_out(key, value)

    def under(self, value: str) -> Mapping[str, Object]:
        """The objects filed under a value, by key; shared: do not change it."""
        return self._groups.get(value, {})

    def changes(self, value: str) -> int:
        """A number that stays while the objects under a value do; 0 while there are none."""
        return self._changes.get(value, 0)

    def _changed(self, value: str) -> None:
        self._count += 1
        self._changes[value] = self._count

    def _take_out(self, key: str, value: str) -> None:
        group = self._groups[value]
        del group[key]
        if group:
            self._changed(value)
        else:
            del self._groups[value], self._changes[value]
