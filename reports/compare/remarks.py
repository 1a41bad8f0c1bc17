"""What limits the meaning of a whole comparison, in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from reports.compare.cells import Line
from reports.compare.conditions import unrecorded
from reports.compare.options import Options
from reports.compare.outcome import Measured
from reports.compare.runs import Gathered, GroupedRun
from reports.compare.statistics import runs_needed
from reports.verdict import Verdict

NAMED: Final = 3
LOSSES: Final = frozenset(
    {"ledger.complete", "storage.durability", "consistency.append", "consistency.bank", "consistency.set"}
)
"""Claims that fail when data that was acknowledged is gone, or is not what was written."""


def remarks(
    gathered: Gathered, table: Sequence[Line], measured: Sequence[Sequence[Measured]], options: Options
) -> list[str]:
    """What was not recorded, not sealed, not judged, too little, and what the runs say of themselves."""
    runs = gathered.runs
    found = [*losses(runs).values(), *gathered.uncounted, *unrecorded(runs)]
    if unsealed := [run.id for run in runs if not run.sealed]:
        found.append(f"{_of(unsealed, len(runs))} never sealed: nobody can tell what was changed in them.")
    if bare := [run.id for run in runs if not any(case.figures for case in run.stored.cases)]:
        remedy = "judge them again with `drainproof rejudge RUN --write`"
        found.append(f"{_of(bare, len(runs))} judged without figures ({_named(bare)}): {remedy}.")
    if unjudged := [run.id for run in runs if run.stored.unjudged]:
        found.append(f"{_of(unjudged, len(runs))} not judged in all cases ({_named(unjudged)}).")
    found += _too_few(gathered, table, measured, options)
    return found + sorted({note for run in runs for note in run.stored.info.notes})


def losses(runs: Sequence[GroupedRun]) -> dict[str, str]:
    """Each group that lost or changed data that it had acknowledged, in a sentence: no figure outweighs that."""
    cases: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        for case in run.stored.cases:
            if any(claim.id in LOSSES and claim.verdict is Verdict.FAIL for claim in case.claims):
                cases[run.group][case.case].add(run.id)
    told = {}
    for group, lost in cases.items():
        count = sum(run.group == group for run in runs)
        bad = set[str]().union(*lost.values())
        told[group] = (
            f"{group} did not keep what it had acknowledged, in {len(bad)} of {count} runs "
            f"({', '.join(sorted(lost))}): better figures do not make up for that."
        )
    return told


def _too_few(
    gathered: Gathered, table: Sequence[Line], measured: Sequence[Sequence[Measured]], options: Options
) -> list[str]:
    """How many runs it takes until one line among so many can have a winner at all."""
    leading = [one for line, of_line in zip(table, measured, strict=True) if line.leads for one in of_line]
    tested = sum(one.decidable for one in leading)
    fewest = min(sum(run.group == group for run in gathered.runs) for group in gathered.groups)
    needed = runs_needed(max(1, tested), options.alpha)
    if fewest >= needed:
        return []
    return [
        f"With {tested} lines to decide, it takes {needed} runs of each group before a winner can be told from chance; "
        f"the smallest group has {fewest}. Runs of a further campaign count when both directories are named."
    ]


def _of(some: Sequence[str], count: int) -> str:
    return f"{len(some)} of {count} runs {'was' if len(some) == 1 else 'were'}"


def _named(runs: Sequence[str]) -> str:
    more = f" and {len(runs) - NAMED} more" if len(runs) > NAMED else ""
    return f"{', '.join(runs[:NAMED])}{more}"
