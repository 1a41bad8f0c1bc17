"""The nodes of the case: that they were the run's own to its end. Who loses one disturbs, and sees, another's work."""

from __future__ import annotations

from reports.evidence import Evidence
from reports.verdict import Claim, Verdict

ID = "nodes.claimed"
TITLE = "The nodes that were disturbed were claimed by this run alone"
SOURCE, KIND = "run", "claim-lost"


def applies(evidence: Evidence) -> bool:
    """Whether a claim was lost; that none was is what every record takes for granted."""
    return bool(evidence.of_kind(SOURCE, KIND))


def check(evidence: Evidence) -> Claim:
    """A lost claim leaves open who has caused what was seen: never more than unknown."""
    lost = evidence.of_kind(SOURCE, KIND)
    who = ", ".join(f"node {event.object} to {event.data.get('holder') or 'nobody'}" for event in lost)
    return Claim(
        id=ID, title=TITLE, verdict=Verdict.UNKNOWN, measured=len(lost), limit=0, unit="claims",
        reason=f"the run lost its claim of {who}, and was stopped", evidence=("events.jsonl: run claim-lost",),
        detection="a claim is looked at four times within the time that it lasts",
        hint="Repeat the run; see why the API could not be reached for so long, or raise budgets.lease of the profile",
    )
