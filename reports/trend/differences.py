"""What differs between the descriptions of two runs: the probable causes of what changed between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from drainproof.record import RunInfo
from reports.trend.history import Row

ABSENT = "absent"
LONGEST = 60
"""Characters of a value that are shown."""
OWN_TO_A_RUN: Final = ("seed", "settings.seed")
"""May differ in every run by intent; told of the first bad run, no mark on every line."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of run.json with its value in the run before and in the run after."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the description of the runs of a stream changes: index of the first run after, and what is new in it."""

    at: int
    differences: tuple[Difference, ...]


def differences(before: Row, after: Row) -> tuple[Difference, ...]:
    """Every key whose value differs, versions first, then the checks, the target, the settings and the notes."""
    old, new = _flat(before), _flat(after)
    keys = [*old, *(key for key in new if key not in old)]
    changed = [key for key in keys if old.get(key, ABSENT) != new.get(key, ABSENT)]
    return tuple(
        Difference(key, _short(old.get(key, ABSENT)), _short(new.get(key, ABSENT)))
        for key in sorted(changed, key=lambda key: _rank(key))
    )


def marks(rows: tuple[Row, ...]) -> tuple[Mark, ...]:
    """All places of a stream where versions, target or settings changed from one run to the next."""
    found = []
    for at in range(1, len(rows)):
        before, after = rows[at - 1], rows[at]
        if told := tuple(one for one in differences(before, after) if one.key not in OWN_TO_A_RUN):
            found.append(Mark(at, told))
    return tuple(found)


def _flat(row: Row) -> dict[str, str]:
    info: RunInfo = row.info
    checks = sorted({entry.checks for entry in row.entries.values() if entry.checks})
    content = {
        "versions": info.versions, **({"checks": ", ".join(checks)} if checks else {}), "target": info.target,
        "settings": info.settings, "seed": info.seed, "notes": list(info.notes),
    }
    return dict(_leaves(content, ""))


def _leaves(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def _rank(key: str) -> int:
    order = ("versions", "checks", "target", "settings", "seed", "notes")
    head = key.partition(".")[0]
    return order.index(head) if head in order else len(order)


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[:LONGEST - 1]}…"
