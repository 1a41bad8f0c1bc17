"""The comparison as CSV: one file of conclusions, one of every run's values; no cell of them is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from reports.compare.comparison import Comparison, Row
from reports.compare.outcome import Pair, Spread
from reports.compare.words import of_what, remarks, winner
from reports.text import clean

CONCLUSIONS: Final = (
    "case", "axis", "object", "unit", "better", "leads", "reference", "candidate",
    *(f"{side}_{name}" for side in ("reference", "candidate")
      for name in ("n", "missing", "at_least", "median", "q1", "q3", "min", "max")),
    "shift", "shift_low", "shift_high", "relative", "relative_low", "relative_high", "cliffs_delta", "margin",
    "p", "p_corrected", "outcome", "winner", "reason", "remarks",
)
VALUES: Final = (
    "case", "axis", "object", "unit", "better", "leads", "run", "group", "started", "value", "at_least", "resolution",
    "verdict", "reason",
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the begin of a formula."""


def conclusions(comparison: Comparison) -> str:
    """One row for each case, axis, object and two groups."""
    return _csv(CONCLUSIONS, (_conclusion(row, pair) for row in comparison.rows for pair in row.pairs))


def values(comparison: Comparison) -> str:
    """One row for each case, axis, object and run."""
    return _csv(VALUES, _values(comparison))


def _conclusion(row: Row, pair: Pair) -> Sequence[object]:
    key, measured, effect = row.line.key, pair.measured, pair.measured.effect
    told: list[object] = [key.case, key.axis, of_what(key), key.unit, key.better, row.line.leads]
    told += [measured.reference, measured.candidate]
    for group in (measured.reference, measured.candidate):
        told += _spread(row.spreads[group])
    if effect is None:
        told += [None] * 10
    else:
        told += [effect.shift, effect.low, effect.high, *(effect.relative or (None, None, None))]
        told += [effect.delta, effect.margin, measured.probability, pair.corrected]
    return [*told, pair.outcome, winner(pair), pair.reason, " ".join(remarks(row, pair))]


def _spread(spread: Spread) -> list[object]:
    low, high = spread.quartiles or (None, None)
    return [
        spread.n, spread.missing, spread.at_least, spread.median, low, high, spread.smallest, spread.largest,
    ]


def _values(comparison: Comparison) -> Iterator[Sequence[object]]:
    started = {run.id: run.stored.info.started for run in comparison.runs}
    for row in comparison.rows:
        key = row.line.key
        for cell in row.line.cells:
            if cell.run in started:
                yield (
                    key.case, key.axis, of_what(key), key.unit, key.better, row.line.leads, cell.run, cell.group,
                    started[cell.run], cell.value, cell.at_least, cell.resolution, cell.verdict or "absent",
                    cell.reason,
                )


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(content) for content in row] for row in rows)
    return text.getvalue()


def _cell(content: object) -> str:
    """Numbers as they are; of texts the control characters made visible and what a spreadsheet would compute quoted."""
    if content is None:
        return ""
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, int | float):
        return f"{content:.9g}"
    text = clean(content)
    return f"'{text}" if text.startswith(FORMULA) else text
