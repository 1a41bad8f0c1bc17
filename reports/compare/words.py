"""A comparison in words: labels, values with their units, and a sentence for each conclusion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import floor, log10
from typing import Final

from reports.compare.cells import BESIDE, REDUCED, Key, Reduced
from reports.compare.comparison import Comparison, Row
from reports.compare.outcome import Effect, Outcome, Pair, Spread
from reports.verdict import Better

DASH: Final = "–"
DIGITS: Final = 3
OF_A_RUN: Final = {Reduced.WORST: "worst of each run", Reduced.MEDIAN: "median of each run"}
MULTIPLES: Final = ("", "Ki", "Mi", "Gi", "Ti")


def what(key: Key) -> str:
    """What a line is about, without its case."""
    return f"{key.axis}, {of_what(key)}"


def of_what(key: Key) -> str:
    """The object of a line, or how its objects became one."""
    return key.object or OF_A_RUN.get(REDUCED.get(key.axis, Reduced.APART), "all")


def detail(key: Key) -> str:
    """What a detail is of: its axis too, where it is not that of the line that it stands beside."""
    return what(key) if key.axis in BESIDE else of_what(key)


def value(number: float | None, unit: str, sign: str = "") -> str:
    """A value with its unit, with three digits; `sign` is `+` for differences."""
    if number is None:
        return DASH
    if unit.startswith("bytes"):
        step = next((step for step in range(4) if abs(number) < 1024 ** (step + 1)), 4)
        return f"{_digits(number / 1024**step, sign)} {MULTIPLES[step]}B{unit.removeprefix('bytes')}"
    if unit == "share":
        return f"{_digits(100 * number, sign)} %"
    if unit == "s" and 0 < abs(number) < 1:
        return f"{_digits(1000 * number, sign)} ms"
    return f"{_digits(number, sign)} {'/s' if unit == '1/s' else unit}".strip()


def percent(share: float) -> str:
    """A relative difference: `+12 %`, `-0.4 %`."""
    shown = f"{100 * share:+.1f}" if abs(share) < 0.1 else f"{100 * share:+.0f}"
    return f"{shown.replace('-', '−')} %"


def signed(number: float) -> str:
    """A number with its sign and two decimals."""
    return f"{number:+.2f}".replace("-", "−")


def difference(effect: Effect, unit: str) -> str:
    """The shift, relative where it can be."""
    shift = _change(effect.shift, unit)
    return shift if effect.relative is None else f"{shift} ({percent(effect.relative[0])})"


def interval(effect: Effect, unit: str) -> str:
    """The interval of the shift, relative where it can be."""
    if effect.relative is not None:
        return f"{percent(effect.relative[1])} to {percent(effect.relative[2])}"
    return f"{_change(effect.low, unit)} to {_change(effect.high, unit)}"


def _change(number: float, unit: str) -> str:
    """A difference in its unit; of shares in points, so that it is not taken for a relative one."""
    shown = value(number, unit, "+")
    return f"{shown.removesuffix(' %')} points" if unit == "share" else shown


def chance(probability: float) -> str:
    """A probability as it is told: never as zero."""
    return f"{probability:.3f}" if probability >= 0.001 else "< 0.001"


def winner(pair: Pair) -> str:
    """The group that is better; empty without one."""
    names = {Outcome.BETTER: pair.measured.candidate, Outcome.WORSE: pair.measured.reference}
    return names.get(pair.outcome, "")


def conclusion(pair: Pair) -> str:
    """The outcome in a few words."""
    return f"{name} is better" if (name := winner(pair)) else str(pair.outcome)


def sentence(row: Row, pair: Pair) -> str:
    """What is concluded of one line and two groups, with the figures."""
    key, effect = row.line.key, pair.measured.effect
    if effect is None:
        return f"{what(key)}: {pair.reason}."
    sides = [
        f"{group} {value(row.spreads[group].median, key.unit)}"
        for group in (pair.measured.reference, pair.measured.candidate)
    ]
    told = f"{' against '.join(sides)}, {difference(effect, key.unit)}, 95 % interval {interval(effect, key.unit)}"
    why = f"; {pair.reason}" if pair.reason else f", p {chance(pair.corrected)} after correction"
    return f"{what(key)}: {told}{why}."


def remarks(row: Row, pair: Pair) -> Iterator[str]:
    """What must be known beside the conclusion: single runs that stand out, what is missing, a drift."""
    unit, measured = row.line.key.unit, pair.measured
    for group in (measured.reference, measured.candidate):
        own = [one for one in measured.extremes if one.group == group]
        if own:
            more = f" and {len(own) - 1} more" if len(own) > 1 else ""
            yield f"{group} stands out with {value(own[0].value, unit)} in {own[0].run}{more}."
        spread = row.spreads[group]
        if spread.missing:
            yield f"{group} lacks {spread.missing} of {spread.n + spread.missing} values."
        if spread.at_least:
            yield f"{spread.at_least} values of {group} are open-ended: the true ones may be worse."
    if change := drifted(row, pair):
        yield change


def drifted(row: Row, pair: Pair) -> str:
    """That the values changed over time by more than the groups differ, or empty."""
    change = pair.measured.drifted
    if change is None:
        return ""
    return (
        f"Within the groups the values changed by {_change(change, row.line.key.unit)} over the time of the runs, "
        "by more than the groups differ."
    )


def standing_out(comparison: Comparison, reference: str, candidate: str) -> Iterator[str]:
    """The runs of two groups that were far worse than their group's others, by line."""
    for row, pair in leading(comparison, reference, candidate):
        key = row.line.key
        for one in pair.measured.extremes:
            median = value(row.spreads[one.group].median, key.unit)
            yield (
                f"{one.group}, {what(key)}: {value(one.value, key.unit)} in {one.run}, where the median is {median} "
                f"({key.case})."
            )


def worst(spread: Spread, better: Better) -> float | None:
    """The worst value of a group."""
    return spread.largest if better is Better.LESS else spread.smallest


def leading(comparison: Comparison, reference: str, candidate: str) -> list[tuple[Row, Pair]]:
    """The leading lines of two groups, without those of which neither has a value."""
    return [
        (row, pair) for row in comparison.leading for pair in row.pairs
        if (pair.measured.reference, pair.measured.candidate) == (reference, candidate)
        and (row.spreads[reference].n or row.spreads[candidate].n)
    ]


def tally(comparison: Comparison, reference: str, candidate: str) -> str:
    """How many leading lines end how, for two groups."""
    pairs = [pair for _, pair in leading(comparison, reference, candidate)]
    empty = len(comparison.leading) - len(pairs)
    counts = Counter(pair.outcome for pair in pairs)
    told = [
        f"{reference} is better on {counts[Outcome.WORSE]}", f"{candidate} on {counts[Outcome.BETTER]}",
        _counted(counts[Outcome.TIE], "is a tie", "are ties"),
        _counted(counts[Outcome.OPEN], "shows no difference", "show no difference"),
    ]
    told += [
        _counted(counts[outcome], f"{one}", f"{many}")
        for outcome, one, many in (
            (Outcome.TOO_FEW, "has too few runs", "have too few runs"),
            (Outcome.TIME, "was not interleaved", "were not interleaved"),
            (Outcome.NOTHING, "cannot be compared", "cannot be compared"),
        )
        if counts[outcome]
    ]
    without = f" Of {_counted(empty, 'more line', 'more lines')} neither has a value." if empty else ""
    return f"Of {len(pairs)} lines {', '.join(told)}.{without}"


def direction(better: Better) -> str:
    return "less is better" if better is Better.LESS else "more is better"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _digits(number: float, sign: str) -> str:
    """Three digits that count, large numbers whole, with a thin space between thousands."""
    if number == 0:
        return "0"
    decimals = max(0, DIGITS - 1 - floor(log10(abs(number))))
    shown = f"{number:{sign},.{min(decimals, 6)}f}"
    return shown.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "−")
