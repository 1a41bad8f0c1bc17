"""The journal of a campaign: its plan and every attempt at a run, written before and after each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from drainproof.campaign.plan import Plan, Slot
from drainproof.errors import RecordError
from drainproof.record.case import read_json, write_json
from drainproof.record.run import RUN_FILE

CAMPAIGN = "campaign.json"
DISCARDED = "discarded"
"""Where runs are kept that do not count; too deep for those who look for the runs of the campaign."""
FORMAT = 1


class State(StrEnum):
    """How an attempt ended."""

    RUNNING = "running"
    """Or cut off together with the campaign."""
    DONE = "done"
    """The run has a verdict, whatever it is."""
    COULD_NOT_RUN = "could not run"
    KILLED = "killed"
    INTERRUPTED = "interrupted"
    """Somebody stopped the campaign."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at one run of the plan."""

    number: int
    """Of the slot."""
    started: str
    """Wall time, RFC 3339 in UTC."""
    before: tuple[str, ...]
    """The runs that were there before."""
    pid: int = 0
    """For people: by now the number may be another's, and only the lock tells whether the certification runs."""
    ended: str = ""
    """Empty when nobody saw it end."""
    exit_code: int | None = None
    """Of the certification; of one that nobody saw end, what its record comes to."""
    run: str = ""
    """The directory of the run, empty when there is none."""
    state: State = State.RUNNING

    @property
    def seconds(self) -> float:
        """How long it took; 0 when it did not end."""
        if not self.ended:
            return 0.0
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()


class CampaignJournal:
    """The journal in its directory; what it holds is on disk before anything else happens."""

    def __init__(self, directory: Path, plan: Plan, attempts: tuple[Attempt, ...] = ()) -> None:
        self.directory, self.plan, self.attempts = directory, plan, attempts

    @classmethod
    def read(cls, directory: Path) -> CampaignJournal:
        """Raises RecordError when there is none, or it is damaged or of another format."""
        path = directory / CAMPAIGN
        try:
            content = read_json(path)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']} is not the format {FORMAT} that this version reads")
            attempts = tuple(_attempt(one) for one in content["attempts"])
            return cls(directory, Plan.of_json(content["plan"]), attempts)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RecordError(f"{path}: is not the journal of a campaign: {error}") from error

    def write(self) -> None:
        """In one step: whoever reads it finds the state before or after."""
        self.directory.mkdir(parents=True, exist_ok=True)
        content = {
            "format": FORMAT, "plan": self.plan.as_json(), "order": [asdict(slot) for slot in self.plan.slots()],
            "attempts": [asdict(attempt) for attempt in self.attempts],
        }
        write_json(self.directory / CAMPAIGN, content)

    def begin(self, attempt: Attempt) -> None:
        """An attempt is about to be made."""
        self.attempts = (*self.attempts, attempt)
        self.write()

    def update(self, **facts: Any) -> Attempt:
        """Add to the last attempt."""
        last = replace(self.attempts[-1], **facts)
        self.attempts = (*self.attempts[:-1], last)
        self.write()
        return last

    def runs(self) -> list[str]:
        """The directories of runs that lie here now, by name."""
        return sorted(path.parent.name for path in self.directory.glob(f"*/{RUN_FILE}"))

    def made(self) -> str:
        """The run that the last attempt made, empty when it made none."""
        new = [name for name in self.runs() if name not in self.attempts[-1].before]
        return new[-1] if new else ""

    def set_aside(self) -> list[Attempt]:
        """The attempts that do not count although there is a run of them."""
        return [one for one in self.attempts if one.run and one.state is not State.DONE]

    def place(self, attempt: Attempt) -> Path:
        """Where the run of an attempt lies: beside the others, or put aside."""
        beside = self.directory / attempt.run
        return beside if attempt.state is State.DONE or beside.is_dir() else self.directory / DISCARDED / attempt.run

    def done(self) -> dict[int, Attempt]:
        """The attempts that count, by the number of their slot."""
        return {one.number: one for one in self.attempts if one.state is State.DONE}

    def next(self) -> Slot | None:
        """The first run of the plan that is not done."""
        done = self.done()
        return next((slot for slot in self.plan.slots() if slot.number not in done), None)

    def discard(self) -> list[str]:
        """Put the runs aside that do not count; returns their names. They are kept."""
        moved = []
        for attempt in self.set_aside():
            source = self.directory / attempt.run
            if source.is_dir():
                (self.directory / DISCARDED).mkdir(exist_ok=True)
                source.rename(self.directory / DISCARDED / attempt.run)
                moved.append(attempt.run)
        return moved


def _attempt(content: Mapping[str, Any]) -> Attempt:
    attempt = Attempt(**{**content, "state": State(content["state"]), "before": tuple(content["before"])})
    if not isinstance(attempt.run, str) or attempt.run == ".." or attempt.run != Path(attempt.run).name:
        raise ValueError(f"{attempt.run!r} is no name of a run")
    return attempt
