"""The checks: pure functions from the evidence of a case to one claim each, in the order of the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reports.checks import (
    continuity,
    control,
    exported,
    galera,
    hypervisor,
    intact,
    ledger,
    leftovers,
    migration,
    outages,
    phases,
    placement,
)
from reports.evidence import Evidence
from reports.verdict import Claim

VERSION = "2"
"""Changes whenever a check may conclude something else from the same record."""


@dataclass(frozen=True, slots=True)
class Check:
    """One claim's id and sentence, and the function that judges it."""

    id: str
    title: str
    judge: Callable[[Evidence], Claim]
    applies: Callable[[Evidence], bool] = lambda _: True
    """Whether the claim belongs to this certificate at all."""


def _checks(*modules: Any) -> tuple[Check, ...]:
    return tuple(Check(module.ID, module.TITLE, module.check) for module in modules)


CHECKS = (
    *_checks(placement, migration, continuity),
    *(
        Check(outages.claim_id(probe), probe.sentence, outages.check_of(probe), outages.looked_at(probe))
        for probe in outages.PROBES
    ),
    *_checks(control, exported, galera, ledger, hypervisor, phases, leftovers, intact),
)
