"""Which runs are different runs: a copy counts once, and evidence that stands under two names is no evidence twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drainproof.record.signature import SIGNATURE
from reports.gate.answer import Reason, against
from reports.gate.examined import ExaminedRun

REMEDY = "Find out which of the two was made by drainproof, and leave the other out."


def distinct(runs: Sequence[ExaminedRun]) -> tuple[list[ExaminedRun], list[str]]:
    """Each run once, an intact one before others of the same id; and a note for each that was left out."""
    kept: dict[str, ExaminedRun] = {}
    notes = []
    for run in sorted(runs, key=_order):
        if run.id in kept:
            notes.append(f"The run {run.id} was given more than once; it counts once.")
        else:
            kept[run.id] = run
    return list(kept.values()), list(dict.fromkeys(notes))


def contradictions(runs: Sequence[ExaminedRun]) -> Iterator[Reason]:
    """Runs of one id with different evidence, and runs of different ids with the same."""
    by_id: dict[str, ExaminedRun] = {}
    by_events: dict[str, str] = {}
    by_anchor: dict[tuple[int, int], str] = {}
    for run in sorted(runs, key=_order):
        first = by_id.setdefault(run.id, run)
        if not run.alterations and not first.alterations and run.evidence != first.evidence:
            seen = f"{first.directory} and {run.directory} differ"
            yield against(f"run {run.id}", "one record of each run", seen, REMEDY)
        if run.info is not None:
            anchor = (run.info.anchor.monotonic_ns, run.info.anchor.wall_ns)
            owner = by_anchor.setdefault(anchor, run.id)
            if owner != run.id:
                seen = f"its clocks were read at the very nanosecond of run {owner}: one is a copy of the other"
                yield against(f"run {run.id}", "evidence of its own", seen, REMEDY)
        for case, digest in run.events.items():
            owner = by_events.setdefault(digest, run.id)
            if owner != run.id:
                seen = f"the events of its case {case} are those of a case of run {owner}"
                yield against(f"run {run.id}", "evidence of its own", seen, REMEDY)


def _order(run: ExaminedRun) -> tuple[str, bool, bool, bool, str]:
    unsigned = not (run.directory / SIGNATURE).exists()
    return run.id, bool(run.alterations), bool(run.unsealed), unsigned, str(run.directory)
