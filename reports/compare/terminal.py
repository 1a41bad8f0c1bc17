"""The comparison on a terminal: a table of the leading lines, and in words what it comes to."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.compare.cells import Key
from reports.compare.comparison import Comparison
from reports.compare.outcome import Outcome, Pair, Spread
from reports.compare.words import (
    conclusion,
    difference,
    drifted,
    interval,
    leading,
    of_what,
    standing_out,
    tally,
    value,
    winner,
    worst,
)
from reports.terminal import console_of
from reports.text import clean

STYLES = {
    Outcome.BETTER: "green", Outcome.WORSE: "green", Outcome.TIE: "blue", Outcome.TIME: "yellow",
    Outcome.TOO_FEW: "yellow", Outcome.NOTHING: "yellow",
}
WIDTH = 160
"""Where the output is no terminal."""


def show(comparison: Comparison, stream: TextIO) -> None:
    """Print the comparison; nothing that a cluster named can steer the terminal."""
    console = console_of(stream, None if stream.isatty() else WIDTH)
    for (reference, candidate), turns in comparison.turns.items():
        console.print(_text(f"{candidate} against {reference}", "bold"))
        console.print(_table(comparison, reference, candidate))
        console.print(_text(tally(comparison, reference, candidate), "bold"))
        for group in (reference, candidate):
            if group in comparison.losses:
                console.print(_text(comparison.losses[group], "bold red"))
        if turns.confounded:
            console.print(_text(f"No winner is named: {turns.confounded} ({turns.order}).", "yellow"))
        _remarks(console, comparison, reference, candidate)
    _passes(console, comparison)
    for difference_ in comparison.allowed:
        console.print(_text(f"allowed: {difference_}", "yellow"))
    for name, reason in comparison.left_out.items():
        console.print(_text(f"left out: {name}: {reason}", "yellow"))
    for remark in comparison.remarks:
        console.print(_text(remark, "dim"))


def _table(comparison: Comparison, reference: str, candidate: str) -> Table:
    table = Table(header_style="dim", expand=False)
    for name in ("case", "axis", "of"):
        table.add_column(name, overflow="fold")
    for name in (reference, candidate):
        table.add_column(_text(f"{name}\nmedian, quartiles, worst"), justify="right")
    table.add_column("difference\n95 % interval", justify="right")
    table.add_column("conclusion", overflow="fold")
    last = ""
    for row, pair in leading(comparison, reference, candidate):
        key = row.line.key
        table.add_row(
            _text(key.case if key.case != last else ""), _text(key.axis), _text(of_what(key)),
            *(_spread(row.spreads[group], key) for group in (reference, candidate)), _effect(pair, key.unit),
            _text(_concluded(comparison, pair), STYLES.get(pair.outcome, "")),
        )
        last = key.case
    return table


def _concluded(comparison: Comparison, pair: Pair) -> str:
    """The conclusion; of a group that lost data with a reservation, which is told below."""
    return f"{conclusion(pair)}\n(but see: data lost)" if winner(pair) in comparison.losses else conclusion(pair)


def _spread(spread: Spread, key: Key) -> Text:
    unit = key.unit
    missing = f", {spread.missing} missing" if spread.missing else ""
    if spread.quartiles is None:
        return _text(f"no value{missing}", "dim")
    if spread.n == 1:
        return _text(f"{value(spread.median, unit)}\nsingle run{missing}")
    low, high = (value(one, unit) for one in spread.quartiles)
    ends = f"{low} to {high}, worst {value(worst(spread, key.better), unit)}{missing}"
    return _text(f"{value(spread.median, unit)}\n{ends}")


def _effect(pair: Pair, unit: str) -> Text:
    effect = pair.measured.effect
    return _text("" if effect is None else f"{difference(effect, unit)}\n{interval(effect, unit)}")


def _remarks(console: Console, comparison: Comparison, reference: str, candidate: str) -> None:
    for told in standing_out(comparison, reference, candidate):
        console.print(_text(f"  stands out: {told}"))
    for row, pair in leading(comparison, reference, candidate):
        if change := drifted(row, pair):
            console.print(_text(f"  {row.line.key.case}, {row.line.key.axis}, {of_what(row.line.key)}: {change}"))


def _passes(console: Console, comparison: Comparison) -> None:
    table = Table(header_style="dim", title="runs that passed", title_justify="left")
    table.add_column("case", overflow="fold")
    for group in comparison.groups:
        table.add_column(_text(group), justify="right")
    for case in comparison.passes:
        counted = (
            f"{one.passed} of {one.judged}"
            + "".join(f", {count} {name}" for name, count in
                      (("failed", one.failed), ("unknown", one.unknown), ("absent", one.absent)) if count)
            for one in case.groups
        )
        table.add_row(_text(case.case), *map(_text, counted))
    console.print(table)


def _text(content: object, style: str = "") -> Text:
    """Text that is no markup; line breaks of our own stay."""
    return Text("\n".join(clean(line) for line in str(content).split("\n")), style=style)
