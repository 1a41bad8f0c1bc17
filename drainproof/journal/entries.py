"""The entries of a journal, and which of them still stand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Entry = dict[str, Any]
OPEN, CLOSE, VOID = "open", "close", "void"
ENDS: Final[Mapping[str, str]] = {
    "storage-pause": "storage-resumed", "power-off": "powered-on", "cordon": "uncordoned", "taint": "untainted",
    "unpause": "paused-again", "create": "removed", "namespace": "deleted",
}
"""What is written before each kind of change, and what once it is undone; in the order in which they are undone."""


@dataclass(frozen=True, slots=True)
class Left:
    """What has been changed and not undone: by kind, the entries by name."""

    by_kind: Mapping[str, Mapping[str, Entry]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Left:
        """What entries in their order leave; one that is void was written for a change that was not made."""
        left: dict[str, dict[str, Entry]] = {kind: {} for kind in ENDS}
        begun = {ended: kind for kind, ended in ENDS.items()}
        entries = list(entries)
        void = {entry.get("id") for entry in entries if entry["do"] == VOID}
        # A void entry does not stand for an earlier one of its name, which may be in force.
        for entry in (entry for entry in entries if entry.get("id") is None or entry["id"] not in void):
            what = entry["do"]
            if what in left:
                left[what][entry["name"]] = entry
            elif what in begun:
                left[begun[what]].pop(entry["name"], None)
        return cls({kind: dict(sorted(items.items())) for kind, items in left.items()})

    def names(self, kind: str) -> list[str]:
        return list(self.by_kind[kind])

    def __bool__(self) -> bool:
        return any(self.by_kind.values())


def united(*sources: Iterable[Entry]) -> list[Entry]:
    """The entries of several copies of a journal, each once, in the order in which they were written."""
    found: dict[tuple[str, str], Entry] = {}
    for number, source in enumerate(sources):
        for place, entry in enumerate(source):
            mark = entry.get("id") or f"{number}/{place}"
            found.setdefault((str(mark), str(entry["do"] == VOID)), entry)
    return sorted(found.values(), key=lambda entry: entry.get("t", 0))


def parsed(line: str) -> Entry | None:
    """An entry, or None for what is none: a line that was not written to its end, or what somebody else has written."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("do"), str):
        return None
    named = isinstance(entry.get("name"), str) and entry["name"]
    return entry if named or entry["do"] not in {*ENDS, *ENDS.values()} else None
