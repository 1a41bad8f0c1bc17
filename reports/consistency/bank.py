"""The bank workload: transfers between accounts that leave the total as it is, and reads of all balances.

A read of all balances is one transaction. InnoDB at REPEATABLE READ gives it one snapshot, Galera applies what another
member wrote one whole transaction at a time, and transfers change balances by relative updates under row locks: no read
of a member, stale or not, may show another total. A wrong total therefore accuses, at any level of wsrep_sync_wait.
(Of a weaker isolation level it would be the documented effect: whoever judges must look at what was configured.)
Transfers that are lost as a whole leave the total as it is: it takes the other workloads to see them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from drainproof.record import Act, History
from reports.consistency.columns import place, steps_of, written
from reports.consistency.findings import Findings, Integers, Kind, Report, Teller

WORKLOAD = "bank"


def check(
    history: History, members: Sequence[str], accounts: int, total: int, at: Callable[[int], str] | None = None
) -> Report:
    """Check each read of the balances of so many accounts against their total."""
    history = history.only(WORKLOAD)
    teller, found = Teller(history, at), Findings()
    reads = steps_of(history, Act.BALANCES)
    reads = reads[history.acknowledged[history.steps.row[reads]]]
    sums = _sums(history, reads)
    wrong = (sums != total) | (history.steps.lengths()[reads] != accounts)
    final = history.final[history.steps.row[reads]]
    for kind, those in ((Kind.WRONG_TOTAL, ~final), (Kind.FINAL_TOTAL, final)):
        if len(bad := np.flatnonzero(wrong & those)):
            row, held = int(history.steps.row[reads[bad[0]]]), history.steps.lengths()[reads[bad[0]]]
            said = f"{held} accounts hold {sums[bad[0]]}, not {total} in {accounts}"
            found.add(kind, len(bad), teller.witness(said, row))
    unread = _at_the_end(history, reads[final], members, teller, found)
    rows = history.steps.row[reads[~final]]
    return Report(
        operations=len(history), acknowledged=int(history.acknowledged.sum()), writes=written(history),
        reads=len(np.unique(rows)), findings=found.all(), unread=tuple(unread),
    )


def _sums(history: History, reads: Integers) -> Integers:
    running = np.concatenate(([0], np.cumsum(history.steps.seen)))
    return np.asarray(running[history.steps.begins[reads + 1]] - running[history.steps.begins[reads]])


def _at_the_end(
    history: History, finals: Integers, members: Sequence[str], teller: Teller, found: Findings
) -> list[str]:
    """Compare what the members held at the end; who was not read."""
    last: dict[str, int] = {}
    for member in members:
        own = finals[history.member[history.steps.row[finals]] == place(history, member)]
        if len(own):
            last[member] = int(own[-1])
    held = {member: tuple(history.steps.seen_by(step).tolist()) for member, step in last.items()}
    if len(set(held.values())) > 1:
        told = "; ".join(f"{member} {list(balances)}" for member, balances in held.items())
        rows = [int(history.steps.row[step]) for step in last.values()]
        found.add(Kind.DIFFERENT, 1, (f"the balances differ: {told}", teller.ops(rows)))
    return [f"the balances were not read on {member} at the end" for member in members if member not in last]
