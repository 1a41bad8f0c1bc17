"""What differs between the descriptions of two runs: the probable causes of what changed between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drainproof.record import RunInfo
from reports.description import INCIDENTAL, leaves, within
from reports.trend.history import Row

ABSENT = "absent"
LONGEST = 60
"""Characters of a value that are shown."""
OWN_TO_A_RUN: Final = ("seed", *INCIDENTAL)
"""May differ in every run; told of the first bad run, no mark on every line."""


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
    """Every key whose value differs, versions first, then the checks, the environment, the target and the settings.

    Of an environment that one of the two runs did not record, nobody can say that it differs.
    """
    recorded = bool(before.info.environment and after.info.environment)
    old, new = _flat(before, recorded), _flat(after, recorded)
    keys = [*old, *(key for key in new if key not in old)]
    changed = [key for key in keys if old.get(key, ABSENT) != new.get(key, ABSENT)]
    return tuple(
        Difference(key, _short(old.get(key, ABSENT)), _short(new.get(key, ABSENT)))
        for key in sorted(changed, key=lambda key: _rank(key))
    )


def marks(rows: tuple[Row, ...]) -> tuple[Mark, ...]:
    """All places of a stream where versions, environment, target or settings changed from one run to the next."""
    found = []
    for at in range(1, len(rows)):
        before, after = rows[at - 1], rows[at]
        if told := tuple(one for one in differences(before, after) if not within(one.key, OWN_TO_A_RUN)):
            found.append(Mark(at, told))
    return tuple(found)


def _flat(row: Row, environment: bool) -> dict[str, str]:
    info: RunInfo = row.info
    checks = sorted({entry.checks for entry in row.entries.values() if entry.checks})
    content = {
        "versions": info.versions, **({"checks": ", ".join(checks)} if checks else {}),
        **({"environment": info.environment} if environment else {}), "target": info.target,
        "settings": info.settings, "seed": info.seed, "notes": list(info.notes),
    }
    return dict(leaves("", content))


def _rank(key: str) -> int:
    order = ("versions", "checks", "environment", "target", "settings", "seed", "notes")
    return len(order) if within(key, INCIDENTAL) else order.index(key.partition(".")[0])


def _short(value: str) -> str:
    return value if len(value) <= LONGEST else f"{value[:LONGEST - 1]}…"
