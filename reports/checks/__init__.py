"""The checks: pure functions from the evidence of a case to one claim each, in the order of the certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reports.checks import (
    agreement,
    behaviour,
    bystanders,
    claims_kept,
    clocks,
    consistency,
    continuity,
    control,
    exported,
    faults,
    galera,
    hypervisor,
    intact,
    ledger,
    leftovers,
    membership,
    migration,
    outages,
    outcome,
    phases,
    placement,
    quorum,
    recovery,
    storage_continuity,
    storage_durability,
    storage_operations,
    survival,
)
from reports.evidence import PLANNED, STORAGE, UNPLANNED, Evidence
from reports.members import observed
from reports.migrations import migrations
from reports.verdict import Claim

VERSION = "5"
"""Changes whenever a check may conclude something else from the same record."""

SUCCEEDED = "Succeeded"
Applies = Callable[[Evidence], bool]


def _always(_: Evidence) -> bool:
    return True


def _planned(evidence: Evidence) -> bool:
    return evidence.kind == PLANNED


def _unplanned(evidence: Evidence) -> bool:
    return evidence.kind == UNPLANNED


def _storage(evidence: Evidence) -> bool:
    return evidence.kind == STORAGE


def _service(evidence: Evidence) -> bool:
    """Whether a service is certified, and not a disk alone."""
    return not _storage(evidence)


def _watched(evidence: Evidence) -> bool:
    """Whether the run looked at more than a drain needs; a record that was made before is judged as it was."""
    return _unplanned(evidence) or observed(evidence)


def _disturbed(evidence: Evidence) -> bool:
    """Whether faults were or had to be injected."""
    return _unplanned(evidence) or _storage(evidence) or bool(evidence.faults)


def _beyond_drains(evidence: Evidence) -> bool:
    return _watched(evidence) or _disturbed(evidence)


def _moving(evidence: Evidence) -> bool:
    """Whether machines were to move without anybody's noticing; faults alone need not move one."""
    meant = [phase for fault in evidence.faults for phase in fault.expects.moved.values()]
    moves = bool(evidence.drains) or not evidence.faults or SUCCEEDED in meant
    return _planned(evidence) and (moves or any(one.phase == SUCCEEDED for one in migrations(evidence)))


def _both(first: Applies, second: Applies) -> Applies:
    return lambda evidence: first(evidence) and second(evidence)


@dataclass(frozen=True, slots=True)
class Check:
    """One claim's id and sentence, and the function that judges it."""

    id: str
    title: str
    judge: Callable[[Evidence], Claim]
    applies: Applies = _always
    """Whether the claim belongs to this certificate at all."""


def _checks(*modules: Any, applies: Applies = _always) -> tuple[Check, ...]:
    return tuple(Check(module.ID, module.TITLE, module.check, applies) for module in modules)


CHECKS = (
    *_checks(faults, applies=_disturbed),
    *_checks(survival, recovery, applies=_unplanned),
    *_checks(storage_continuity, storage_durability, applies=_storage),
    *_checks(storage_operations, applies=_both(_storage, storage_operations.applies)),
    *_checks(placement, applies=_service),
    *_checks(quorum, applies=_watched),
    *_checks(migration, continuity, applies=_planned),
    *_checks(outcome, applies=_both(_beyond_drains, outcome.applies)),
    *(
        Check(
            outages.claim_id(probe), probe.sentence, outages.check_of(probe), _both(_planned, outages.looked_at(probe))
        )
        for probe in outages.PROBES
    ),
    *_checks(control, exported, applies=_service),
    *_checks(agreement, applies=_watched),
    *_checks(galera, applies=_planned),
    *_checks(membership, applies=_unplanned),
    *_checks(ledger, applies=_service),
    *(
        Check(claimed.id, claimed.title, consistency.check_of(claimed), _both(_service, consistency.applies))
        for claimed in consistency.CLAIMS
    ),
    *_checks(behaviour, applies=_both(_service, consistency.applies)),
    *_checks(hypervisor, phases, applies=_moving),
    *_checks(clocks, applies=clocks.applies),
    *_checks(bystanders, applies=bystanders.applies),
    *_checks(claims_kept, applies=claims_kept.applies),
    *_checks(leftovers, intact),
)
