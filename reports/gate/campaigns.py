"""What the journal of a campaign tells about its runs: which of them are missing, and which were never counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from drainproof.campaign.journal import CAMPAIGN, DISCARDED, CampaignJournal, State
from drainproof.errors import RecordError
from drainproof.record.run import RUN_FILE
from reports.gate.answer import Reason, lacking


def journals(paths: Iterable[Path]) -> tuple[list[CampaignJournal], list[Reason]]:
    """The journals of those paths that are campaigns, or runs of one; a damaged journal is a reason."""
    found, reasons = [], []
    directories = (path if (path / CAMPAIGN).exists() else path.resolve().parent for path in paths)
    for path in dict.fromkeys(directories):
        if (path / CAMPAIGN).exists():
            try:
                found.append(CampaignJournal.read(path))
            except RecordError as error:
                remedy = "Name its runs one by one from elsewhere, and find out what happened to it."
                reasons.append(lacking(f"campaign {path}", "a journal of its runs", str(error), remedy))
    return found, reasons


def missing(journal: CampaignJournal, given: Iterable[Path]) -> Iterator[Reason]:
    """Runs that the campaign has made and that are gone or not given: who leaves out what failed keeps what passed."""
    known = {path.resolve() for path in given}
    for attempt in journal.done().values():
        directory = journal.directory / attempt.run
        if not (directory / RUN_FILE).exists():
            remedy = "Put the run back; what was made counts, whatever its verdict."
            yield lacking(f"campaign {journal.directory}", f"the run {attempt.run}", "it is gone", remedy)
        elif directory.resolve() not in known:
            remedy = f"Name the campaign as a whole: {journal.directory}."
            yield lacking(f"campaign {journal.directory}", f"the run {attempt.run}", "it was not named", remedy)
    for attempt in journal.set_aside():
        if not (journal.place(attempt) / RUN_FILE).exists():
            expected = f"the run {attempt.run}, of which only failures count"
            remedy = f"Put it back, as {DISCARDED}/{attempt.run}: nobody can tell what it has shown."
            yield lacking(f"campaign {journal.directory}", expected, "it is gone", remedy)


def set_aside(journal: CampaignJournal) -> list[Path]:
    """The runs of attempts that do not count: what they have refuted does not vanish with another attempt."""
    places = [journal.place(attempt) for attempt in journal.set_aside()]
    return [place.resolve() for place in places if (place / RUN_FILE).exists()]


def strangers(journal: CampaignJournal, given: Iterable[Path]) -> Iterator[str]:
    """Runs in the campaign's directory that it did not make, in sentences: nothing tells what was left out of them."""
    made = {attempt.run for attempt in journal.attempts}
    for run in given:
        if run.resolve().parent == journal.directory.resolve() and run.name not in made:
            yield f"The run {run.name} lies in the campaign {journal.directory}, whose journal does not name it."


def left_out(journal: CampaignJournal) -> Iterator[str]:
    """How many attempts were not counted, in a sentence."""
    states = Counter(str(one.state) for one in journal.attempts if one.state is not State.DONE)
    if states:
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        yield f"Attempts of the campaign {journal.directory} that do not count, but for what they refute: {told}."
