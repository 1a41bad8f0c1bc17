"""The checks: pure functions from the evidence of a case to one claim each, in the order of the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reports.checks import continuity, exported, galera, hypervisor, ledger, leftovers, migration, placement
from reports.evidence import Evidence
from reports.verdict import Claim

VERSION = "1"
"""Changes whenever a check may conclude something else from the same record."""


@dataclass(frozen=True, slots=True)
class Check:
    """One claim's id and sentence, and the function that judges it."""

    id: str
    title: str
    judge: Callable[[Evidence], Claim]


CHECKS = tuple(
    Check(module.ID, module.TITLE, module.check)
    for module in (placement, migration, continuity, exported, galera, ledger, hypervisor, leftovers)
)
