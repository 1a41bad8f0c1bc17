"""What a comparison is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from reports.compare.runs import STORAGE_CLASS


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything but the runs; the same runs and options give the same bytes."""

    by: str = STORAGE_CLASS
    reference: str = ""
    """The group that the others are compared with; empty: each with each."""
    seed: int = 1
    margin: float = 0.05
    """A difference within this share of the reference's median is none that matters; fix it before you look."""
    alpha: float = 0.05
    """How often all winners of a comparison together may be wrong ones."""
    allow: tuple[str, ...] = ()
    """Conditions that may differ, by their names or beginnings of these."""
    cases: tuple[str, ...] = ()
    """Patterns of the cases that are asked for; empty: all. Fewer lines need fewer runs, if chosen before looking."""
    axes: tuple[str, ...] = ()
    """Likewise of the axes."""

    def asks_for(self, case: str, axis: str) -> bool:
        """Whether a line is of a case and an axis that are asked for."""
        return _among(case, self.cases) and _among(axis, self.axes)


def _among(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
