"""What the journals of campaigns tell a comparison: runs that are gone, and attempts that were never counted.

A class on which every second attempt could not run looks as good as one on which all could: only the journal tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from drainproof.campaign.journal import CAMPAIGN, CampaignJournal, State
from drainproof.record.run import RUN_FILE


def journals(paths: Iterable[Path]) -> list[CampaignJournal]:
    """The journals of those paths that are campaigns; raises RecordError when one is damaged."""
    return [CampaignJournal.read(path) for path in paths if (path / CAMPAIGN).exists()]


def missing(journal: CampaignJournal) -> Iterator[str]:
    """Runs that the campaign has made and that are gone: who takes some away chooses what is compared."""
    for attempt in journal.done().values():
        if not (journal.directory / attempt.run / RUN_FILE).exists():
            made = f"the campaign {journal.directory} has made the run {attempt.run}"
            yield f"{made}, and it is gone; put it back: what was made counts, whatever its verdict."


def uncounted(journal: CampaignJournal) -> Iterator[str]:
    """For each storage class, how many attempts do not count, and why; classes without any are told beside others."""
    classes = {slot.number: slot.storage_class for slot in journal.plan.slots()}
    if all(one.state is State.DONE for one in journal.attempts):
        return
    for name in journal.plan.storage_classes:
        own = [one for one in journal.attempts if classes.get(one.number) == name]
        states = Counter(str(one.state) for one in own if one.state is not State.DONE)
        told = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
        yield f"Of {len(own)} attempts on {name} in the campaign {journal.directory.name} do not count: {told}."
