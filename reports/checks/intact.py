"""The record is the one that was made: nothing was changed, added or lost since it was sealed."""

from __future__ import annotations

from drainproof.record.manifest import MANIFEST
from reports.evidence import Evidence
from reports.verdict import Claim, Verdict

ID = "record.intact"
TITLE = "The record is as it was when the run ended"


def check(evidence: Evidence) -> Claim:
    """Compare the files of the record with the manifest; one that differs proves nothing, so it refutes nothing."""
    alterations = evidence.alterations
    return Claim(
        id=ID,
        title=TITLE,
        verdict=Verdict.UNKNOWN if alterations else Verdict.PASS,
        reason="; ".join(alterations) or "every file is the one that was sealed",
        measured=len(alterations),
        limit=0,
        unit="differences",
        detection="a record whose manifest was made anew looks intact: keep the manifest's head elsewhere",
        evidence=(MANIFEST,),
        hint="Judge a copy of the record that nobody has touched." if alterations else "",
    )
