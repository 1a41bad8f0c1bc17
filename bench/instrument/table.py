"""The one table that the bench prints: figure, target, what was measured, and whether that is good enough."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import Enum

WIDTHS = (46, 30, 66)


class Verdict(Enum):
    """Whether a figure has reached its target."""

    MET = "met"
    MISSED = "MISSED"
    UNKNOWN = "unknown"
    """It could not be measured here; the measured column says why."""
    TOLD = "-"
    """It has no target."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    figure: str
    target: str
    measured: str
    verdict: Verdict

    @classmethod
    def judged(cls, figure: str, target: str, measured: str, good: bool) -> Row:
        """A figure with a target."""
        return cls(figure, target, measured, Verdict.MET if good else Verdict.MISSED)

    @classmethod
    def told(cls, figure: str, measured: str) -> Row:
        """A figure that only informs."""
        return cls(figure, "", measured, Verdict.TOLD)


HEAD = f"{'figure':<{WIDTHS[0]}}  {'target':<{WIDTHS[1]}}  {'measured':<{WIDTHS[2]}}  verdict"


def text(row: Row) -> str:
    """The row in columns; what is too long for its column goes on below."""
    columns = [
        textwrap.wrap(cell, width) or [""]
        for cell, width in zip((row.figure, row.target, row.measured), WIDTHS, strict=True)
    ]
    lines = []
    for number in range(max(map(len, columns))):
        cells = [column[number] if number < len(column) else "" for column in columns]
        padded = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True))
        lines.append(f"{padded}  {row.verdict.value}" if number == 0 else padded.rstrip())
    return "\n".join(lines)
