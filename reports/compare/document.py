"""The comparison as JSON, of which docs/compare.md says what every name means; the same runs give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from reports.compare.comparison import Comparison, Row
from reports.compare.outcome import Pair, Spread
from reports.compare.words import remarks, winner

FORMAT: Final = 1
DIGITS: Final = 9


def document(comparison: Comparison) -> str:
    """All of the comparison; numbers have nine digits."""
    return json.dumps(_rounded(_content(comparison)), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _content(comparison: Comparison) -> dict[str, Any]:
    options = comparison.options
    return {
        "format": FORMAT,
        "by": options.by,
        "options": {"margin": options.margin, "alpha": options.alpha, "seed": options.seed},
        "groups": [
            {"name": group, "runs": [run.id for run in comparison.runs if run.group == group]}
            for group in comparison.groups
        ],
        "order": [
            {"reference": pair[0], "candidate": pair[1], "order": turns.order, "confounded": turns.confounded}
            for pair, turns in comparison.turns.items()
        ],
        "differences_allowed": [
            {"name": one.key, "values": [{"value": value, "runs": list(runs)} for value, runs in one.values]}
            for one in comparison.allowed
        ],
        "left_out": dict(comparison.left_out),
        "remarks": list(comparison.remarks),
        "verdicts": [_verdicts(comparison, number) for number in range(len(comparison.passes))],
        "lines": [_line(comparison, row) for row in comparison.rows],
    }


def _verdicts(comparison: Comparison, number: int) -> dict[str, Any]:
    case = comparison.passes[number]
    return {
        "case": case.case,
        "groups": [
            {
                "group": one.group, "passed": one.passed, "failed": one.failed, "unknown": one.unknown,
                "absent": one.absent, "pass_share_low": one.low, "pass_share_high": one.high,
            }
            for one in case.groups
        ],
        "chances": [
            {"reference": reference, "candidate": candidate, "p_corrected": chance}
            for reference, candidate, chance in case.chances
        ],
    }


def _line(comparison: Comparison, row: Row) -> dict[str, Any]:
    key = row.line.key
    shown = {run.id for run in comparison.runs}
    return {
        "case": key.case, "axis": key.axis, "object": key.object, "unit": key.unit, "better": str(key.better),
        "leads": row.line.leads,
        "groups": {group: _spread(spread) for group, spread in row.spreads.items()},
        "pairs": [_pair(row, pair) for pair in row.pairs],
        "runs": [
            {
                "run": cell.run, "group": cell.group, "value": cell.value, "at_least": cell.at_least,
                "resolution": cell.resolution, "verdict": str(cell.verdict) if cell.verdict else None,
                "reason": cell.reason,
            }
            for cell in row.line.cells
            if cell.run in shown
        ],
    }


def _spread(spread: Spread) -> dict[str, Any]:
    low, high = spread.quartiles or (None, None)
    return {
        "n": spread.n, "missing": spread.missing, "at_least": spread.at_least, "median": spread.median, "q1": low,
        "q3": high, "min": spread.smallest, "max": spread.largest,
    }


def _pair(row: Row, pair: Pair) -> dict[str, Any]:
    measured, effect = pair.measured, pair.measured.effect
    told: dict[str, Any] = {
        "reference": measured.reference, "candidate": measured.candidate, "outcome": str(pair.outcome),
        "winner": winner(pair) or None, "reason": pair.reason, "remarks": list(remarks(row, pair)), "effect": None,
        "p": measured.probability, "p_corrected": pair.corrected,
    }
    if effect is not None:
        told["effect"] = {
            "shift": effect.shift, "low": effect.low, "high": effect.high, "relative": effect.relative,
            "cliffs_delta": effect.delta, "margin": effect.margin, "resamples": effect.resamples,
        }
    return told


def _rounded(content: object) -> object:
    if isinstance(content, float):
        return float(f"{content:.{DIGITS}g}")
    if isinstance(content, Mapping):
        return {str(name): _rounded(value) for name, value in content.items()}
    return [_rounded(value) for value in content] if isinstance(content, list | tuple) else content
