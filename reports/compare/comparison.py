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
from reports.compare.remarks import remarks
from reports.compare.runs import Gathered, GroupedRun
from reports.compare.statistics import holm, reachable


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
    table = lines(gathered.runs)
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
        rows=_rows(table, measured, groups, in_order, options),
        passes=passes(gathered.runs, pairs),
        allowed=tuple(let_pass),
        left_out=gathered.left_out,
        remarks=tuple(remarks(gathered, table, measured, options)),
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
    in_order: Mapping[tuple[str, str], Turns], options: Options,
) -> tuple[Row, ...]:
    """Lines that lead are corrected among themselves, details among all: a detail needs stronger evidence."""
    corrected: dict[int, tuple[float, float]] = {}
    cells = [(line, one) for line, of_line in zip(table, measured, strict=True) for one in of_line]
    for leads in (False, True):
        family = [one for line, one in cells if one.effect is not None and (line.leads or not leads)]
        values = zip(
            family, holm([one.probability for one in family]), reachable([one.floor for one in family]), strict=True
        )
        of_leaders = {id(one) for line, one in cells if line.leads}
        corrected |= {id(one): (p, best) for one, p, best in values if (id(one) in of_leaders) is leads}
    rows = []
    for line, of_line in zip(table, measured, strict=True):
        pairs = []
        for one in of_line:
            p, best = corrected.get(id(one), (1.0, 1.0))
            order = in_order[one.reference, one.candidate]
            pairs.append(decide(one, p, best, options.alpha, order, line.key.better))
        spreads = {group: spread([cell for cell in line.cells if cell.group == group]) for group in groups}
        rows.append(Row(line, spreads, tuple(pairs)))
    return tuple(rows)


def winners(comparison: Comparison) -> list[tuple[Row, Pair]]:
    """The leading lines that have a winner."""
    return [
        (row, pair) for row in comparison.leading for pair in row.pairs
        if pair.outcome in (Outcome.BETTER, Outcome.WORSE)
    ]
