"""The comparison as a whole: every line, every two groups, corrected together; and how many runs passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations

from drainproof.errors import CannotRunError
from reports.compare.cells import Key, Line, lines
from reports.compare.conditions import Difference, allowed, differences
from reports.compare.options import Options
from reports.compare.order import Turns, turns
from reports.compare.outcome import Measured, Outcome, Pair, Spread, decide, measure, spread
from reports.compare.passes import CasePasses, passes
from reports.compare.remarks import losses, remarks
from reports.compare.runs import Gathered, GroupedRun
from reports.compare.statistics import reachable
from reports.statistics import holm


@dataclass(frozen=True)
class Row:
    """One line with what is concluded of each two groups."""

    line: Line
    spreads: Mapping[str, Spread]
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Comparison:
    """All that is shown, in the order in which it is shown."""

    options: Options
    runs: tuple[GroupedRun, ...]
    groups: tuple[str, ...]
    turns: Mapping[tuple[str, str], Turns]
    rows: tuple[Row, ...]
    passes: tuple[CasePasses, ...]
    allowed: tuple[Difference, ...]
    """Conditions that differ and were let pass."""
    left_out: Mapping[str, str]
    remarks: tuple[str, ...]
    """What limits the meaning of all of it, in sentences."""
    losses: Mapping[str, str]
    """Of groups that did not keep what they had acknowledged, what is to be known beside every win."""

    @property
    def leading(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.line.leads)


def compare(gathered: Gathered, options: Options) -> Comparison:
    """Compare the groups of some runs.

    Raises CannotRunError when there are not two groups, or the runs differ in what was not allowed to differ.
    """
    pairs = _pairs(gathered, options)
    let_pass, refused = allowed(differences(gathered.runs, options.by), options.allow)
    if refused:
        hint = "Compare runs of one kind, or let a difference pass with --allow NAME; it is then printed on the report."
        raise CannotRunError(*(str(difference) for difference in refused), hint)
    in_order = {pair: _turns(gathered.runs, pair) for pair in pairs}
    table = [line for line in lines(gathered.runs) if options.asks_for(line.key.case, line.key.axis)]
    if not table and (options.cases or options.axes):
        raise CannotRunError("No line is of such a case and axis; name patterns such as --case '*drain*'.")
    started = {run.id: run.started for run in gathered.runs}
    measured = [
        [measure(line, pair, started, options.margin, _seed(options, line.key, pair)) for pair in pairs]
        for line in table
    ]
    groups = tuple(sorted({group for pair in pairs for group in pair}, key=gathered.groups.index))
    return Comparison(
        options=options,
        runs=tuple(run for run in gathered.runs if run.group in groups),
        groups=groups,
        turns=in_order,
        rows=_rows(table, measured, groups, in_order, gathered, options),
        passes=passes(gathered.runs, pairs, [pair for pair in pairs if not in_order[pair].confounded]),
        allowed=tuple(let_pass),
        left_out=gathered.left_out,
        remarks=tuple(remarks(gathered, table, measured, options)),
        losses=losses(gathered.runs),
    )


def _pairs(gathered: Gathered, options: Options) -> list[tuple[str, str]]:
    groups = gathered.groups
    if len(groups) < 2:
        there = f"all {len(gathered.runs)} runs have {options.by} {groups[0]!r}" if groups else "no run could be read"
        raise CannotRunError(f"There is nothing to compare: {there}; name runs of two at least.")
    if not options.reference:
        return list(combinations(groups, 2))
    if options.reference not in groups:
        raise CannotRunError(f"No run has {options.by} {options.reference!r}; choose one of {', '.join(groups)}.")
    return [(options.reference, group) for group in groups if group != options.reference]


def _turns(runs: Sequence[GroupedRun], pair: tuple[str, str]) -> Turns:
    first, second = ((group, [run.started for run in runs if run.group == group]) for group in pair)
    return turns(first, second)


def _seed(options: Options, key: Key, pair: tuple[str, str]) -> list[int]:
    """Of its own for each line and pair, so that one more line changes no other's interval."""
    told = "\0".join((key.case, key.axis, key.object, key.unit, *pair))
    return [options.seed, int.from_bytes(sha256(told.encode("utf-8", "surrogatepass")).digest()[:8])]


def _rows(
    table: Sequence[Line], measured: Sequence[Sequence[Measured]], groups: Sequence[str],
    in_order: Mapping[tuple[str, str], Turns], gathered: Gathered, options: Options,
) -> tuple[Row, ...]:
    corrected = _corrected(table, measured)
    rows = []
    for number, (line, of_line) in enumerate(zip(table, measured, strict=True)):
        pairs = []
        for place, one in enumerate(of_line):
            p, best = corrected.get((number, place), (1.0, one.floor))
            order = _own_turns(gathered.runs, line, one, in_order)
            pairs.append(decide(one, p, best, options.alpha, order, line.key.better))
        spreads = {group: spread([cell for cell in line.cells if cell.group == group]) for group in groups}
        rows.append(Row(line, spreads, tuple(pairs)))
    return tuple(rows)


def _corrected(
    table: Sequence[Line], measured: Sequence[Sequence[Measured]]
) -> dict[tuple[int, int], tuple[float, float]]:
    """By line and pair, the corrected probability and the best that correction can leave.

    Lines that lead are corrected among themselves, details among all: a detail needs stronger evidence. What no order
    of the runs could decide is no test, and raises the bar for no other.
    """
    every = {
        (number, place): one
        for number, of_line in enumerate(measured) for place, one in enumerate(of_line) if one.decidable
    }
    leaders = {place: one for place, one in every.items() if table[place[0]].leads}
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for family in (every, leaders):
        values = zip(
            holm([one.probability for one in family.values()]), reachable([one.floor for one in family.values()]),
            strict=True,
        )
        found |= dict(zip(family, values, strict=True))
    return found


def _own_turns(
    runs: Sequence[GroupedRun], line: Line, one: Measured, in_order: Mapping[tuple[str, str], Turns]
) -> Turns:
    """The order of the runs that have a value of a line, if that of all runs is in order: those that lack one count."""
    pair = (one.reference, one.candidate)
    known = {cell.run for cell in line.cells if cell.value is not None}
    if in_order[pair].confounded or one.effect is None:
        return in_order[pair]
    return _turns([run for run in runs if run.id in known], pair)


def winners(comparison: Comparison) -> list[tuple[Row, Pair]]:
    """The leading lines that have a winner."""
    return [
        (row, pair) for row in comparison.leading for pair in row.pairs
        if pair.outcome in (Outcome.BETTER, Outcome.WORSE)
    ]
