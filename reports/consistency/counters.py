"""The counter workload: read a number, write one more. What it loses is database behaviour, counted and no more.

Certification lets the first of two writes win only if the second's member had not applied it yet; whoever read before
and writes after overwrites it (P4). The counter shows how often that happened here: it never accuses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drainproof.record import Act, History
from reports.consistency.columns import steps_of, written
from reports.consistency.findings import Findings, Kind, Report, Teller

WORKLOAD = "counter"


def check(history: History, at: Callable[[int], str] | None = None) -> Report:
    """Count the acknowledged increments that wrote a number which another had written already."""
    history = history.only(WORKLOAD)
    teller, found = Teller(history, at), Findings()
    bumps = steps_of(history, Act.BUMP)
    bumps = bumps[history.acknowledged[history.steps.row[bumps]]]
    order = bumps[np.lexsort((bumps, history.steps.value[bumps], history.steps.key[bumps]))]
    same = (np.diff(history.steps.key[order]) == 0) & (np.diff(history.steps.value[order]) == 0)
    if lost := int(same.sum()):
        one = int(same.argmax())
        rows = history.steps.row[order[one : one + 2]].tolist()
        said = f"two increments of counter {history.steps.key[order[one]]} wrote the same number"
        found.add(Kind.LOST_UPDATE, lost, teller.witness(said, *rows))
    return Report(
        operations=len(history), acknowledged=int(history.acknowledged.sum()), writes=written(history), reads=0,
        findings=found.all(),
    )
