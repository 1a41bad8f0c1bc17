"""The course of a series in a line of characters, the newest run last."""

from __future__ import annotations

from rich.text import Text

from reports.trend.analysis import Line
from reports.verdict import Verdict

BARS = "▁▂▃▄▅▆▇█"
SIGNS = {Verdict.PASS: "·", Verdict.FAIL: "×", Verdict.UNKNOWN: "?", None: "?"}
STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.UNKNOWN: "bold yellow", None: ""}
WIDTH = 32


def sparkline(line: Line) -> Text:
    """A bar for each of the newest runs that say anything; a sign where there is no value, or none ever differs."""
    series = line.series
    shown = series.told[-WIDTH:]
    values = [value for at in shown if (value := series.value(at)) is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    drawn = Text()
    for at in shown:
        value, verdict = series.value(at), series.verdict(at)
        sign = SIGNS[verdict] if value is None or high <= low else _bar(value, low, high)
        drawn.append(sign, STYLES[verdict])
    return drawn


def _bar(value: float, low: float, high: float) -> str:
    return BARS[min(len(BARS) - 1, int((value - low) / (high - low) * len(BARS)))]
