"""A claim judged again by a policy's limit, where its check goes by a limit of the profile.

What such a claim measures is the longest that it can have lasted. Only the check itself can say whether a value beyond
a limit was shown, or merely cannot be excluded; and it holds each stream against the limit, not one against its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from drainproof.errors import RecordError
from drainproof.settings import Limits
from reports.checks import CHECKS
from reports.evidence import Evidence
from reports.verdict import CaseVerdict, Claim, guarded

GAPS: Final = ("http_new_gap_seconds", "http_reused_gap_seconds", "sql_gap_seconds")
OUTAGE: Final = ("outage_seconds",)
LIMITS_OF: Final = {
    "continuity.requests": GAPS,
    "service.survives": (*GAPS, *OUTAGE, "failover_gap_seconds", "failover_sql_gap_seconds"),
    "storage.continuity": ("io_pause_seconds", "io_recovery_seconds"),
    **{f"outage.{kind}": OUTAGE for kind in ("udp", "heartbeat", "tcp-kept", "tcp-new")},
}
"""By claim, the keys of the profile's limits that its check goes by."""
LEAST: Final = 1e-9
"""A check that divides by its limit cannot be asked for 0; nothing is measured so finely."""


def judged_by(case: Path, verdict: CaseVerdict, claim: Claim, at_most: float) -> Claim | None:
    """The claim as its check makes it when no limit is above `at_most`; None when it goes by no limit of the profile.

    A limit of the run that is stricter stays.
    """
    keys = LIMITS_OF.get(claim.id, ())
    if not keys:
        return None
    own = Limits.model_validate(dict(verdict.limits))
    strict = own.model_copy(update={key: min(getattr(own, key), max(at_most, LEAST)) for key in keys})
    if strict == own:
        return claim
    check = next(one for one in CHECKS if one.id == claim.id)
    return guarded(check.id, check.title, partial(_judged, check.judge, case, strict))


def _judged(judge: Callable[[Evidence], Claim], case: Path, limits: Limits) -> Claim:
    """Where the record lies is nobody's reason: the same record gives the same answer."""
    try:
        return judge(Evidence.of(case, limits))
    except RecordError as error:
        raise RecordError(str(error).replace(f"{case}/", "")) from error
