"""The time that figures are about: from the begin of the first drain or fault to the end of the judged window."""

from __future__ import annotations

from typing import Final

from reports.evidence import STORAGE, Evidence
from reports.spans import Span
from reports.streams import timed_streams
from reports.verdict import MissingEvidenceError

WATCHED: Final = 0.1
"""What is seen through a watch is seen about so many seconds later than it happened."""


def disturbed(evidence: Evidence) -> Span:
    """From the first drain or fault until all was steady again after the last, as far as the window reaches.

    Raises MissingEvidenceError when nothing was drained and no fault injected.
    """
    begins = [drain.span.begin for drain in evidence.drains] + [fault.span.begin for fault in evidence.faults]
    if not begins:
        raise MissingEvidenceError("nothing was drained and no fault was injected")
    return Span(min(begins), max(min(begins), evidence.window.span.end))


def asked_streams(evidence: Evidence) -> list[str]:
    """The client streams that must exist; none where there is no service, only the disk of a machine."""
    return [] if evidence.kind == STORAGE else timed_streams(evidence)


def cut_short(evidence: Evidence) -> str:
    """Why what was measured may not have ended when the window did, or empty."""
    incomplete = evidence.window.incomplete
    return f"the window is incomplete: {incomplete}" if incomplete else ""
