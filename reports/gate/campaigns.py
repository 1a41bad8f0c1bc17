"""What the journal of a campaign tells about its runs: which of them are missing, and which were never counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from drainproof.campaign.journal import CAMPAIGN, CampaignJournal, State
from drainproof.errors import RecordError
from drainproof.record.run import RUN_FILE
from reports.gate.answer import Reason, lacking


def journals(paths: Iterable[Path]) -> tuple[list[CampaignJournal], list[Reason]]:
    """The journals of those paths that are campaigns; a damaged one is a reason."""
    found, reasons = [], []
    for path in paths:
        if (path / CAMPAIGN).exists():
            try:
                found.append(CampaignJournal.read(path))
            except RecordError as error:
                remedy = "Name its runs one by one, and find out what happened to it."
                reasons.append(lacking(f"campaign {path}", "a journal of its runs", str(error), remedy))
    return found, reasons


def missing(journal: CampaignJournal) -> Iterator[Reason]:
    """Runs that the campaign has made and that are gone: who takes away what failed leaves only what passed."""
    for attempt in journal.done().values():
        if not (journal.directory / attempt.run / RUN_FILE).exists():
            remedy = "Put the run back; what was made counts, whatever its verdict."
            yield lacking(f"campaign {journal.directory}", f"the run {attempt.run}", "it is gone", remedy)


def left_out(journal: CampaignJournal) -> Iterator[str]:
    """How many attempts were not counted, in a sentence."""
    states = Counter(str(one.state) for one in journal.attempts if one.state is not State.DONE)
    if states:
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        yield f"Attempts of the campaign {journal.directory} that do not count: {told}."
