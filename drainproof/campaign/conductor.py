"""Conducts a campaign: one run after the other, each journalled, until all are done or one cannot be had."""

from __future__ import annotations

import fcntl
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from drainproof.campaign.child import Say, Stopping, goes_on, holders, outlive, start, stoppable, unheard
from drainproof.campaign.journal import CAMPAIGN, DISCARDED, Attempt, CampaignJournal, State
from drainproof.campaign.plan import Plan, Slot
from drainproof.campaign.stored import FAIL, stored_code
from drainproof.cleanup import undo_dead_runs
from drainproof.errors import CannotRunError

CERTIFY = (sys.executable, "-m", "drainproof", "certify")
ATTEMPTS = 2
"""So often in a row is a run tried; a hole in the middle would spoil the order."""
VERDICTS = {0: "pass", FAIL: "fail", 2: "unknown"}
WORST = (FAIL, 2, 0)
"""Exit codes of verdicts, the one that decides first."""
COULD_NOT_RUN, INTERRUPTED = 3, 130
LOCK = "campaign.lock"
LOGS = "logs"
LAST_LINES = 5


def conduct(directory: Path, plan: Plan | None, say: Say, certify: Sequence[str] = CERTIFY) -> int:
    """Begin the campaign of a plan, or go on with the one in the directory; returns the exit code of all of it.

    The worst verdict decides (1 fail, 2 unknown, 0 pass); 3: a run could not be had; 130: somebody stopped it.
    Raises CannotRunError when the directory holds another campaign, or other runs, or one that is going on.
    """
    directory, say = directory.resolve(), unheard(say)
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory), stoppable(say) as stopping:
        journal = _journal(directory, plan)
        if journal.plan.balanced and journal.plan.repeat % 2:
            say("an odd number of repetitions is not balanced: the last one has no counterpart in the other order")
        _recover(journal, stopping, say)
        campaign = _Campaign(journal, stopping, say, certify)
        code = campaign.go_on()
        campaign.clear()
        return campaign.close(code)


@dataclass(frozen=True)
class _Campaign:
    journal: CampaignJournal
    stopping: Stopping
    say: Say
    certify: Sequence[str]

    def go_on(self) -> int:
        """Make the runs that are missing; returns 0, or why it ended before."""
        tried = 0
        while (slot := self.journal.next()) is not None:
            if self.stopping.stopped:
                return INTERRUPTED
            if tried == ATTEMPTS:
                return COULD_NOT_RUN
            self.clear()
            self.journal.plan.check()
            attempt = self._try(slot)
            if attempt.state is State.INTERRUPTED:
                return INTERRUPTED
            tried = 0 if attempt.state is State.DONE else tried + 1
        return 0

    def clear(self) -> None:
        """Undo what killed runs have left on the cluster, then put aside what does not count."""
        for sentence in undo_dead_runs(self.journal.directory):
            self.say(sentence)
        for name in self.journal.discard():
            self.say(f"run {name} does not count; it is kept in {self.journal.directory / DISCARDED}")

    def close(self, code: int) -> int:
        """Tell how the campaign stands."""
        directory, missing = shlex.quote(str(self.journal.directory)), self.journal.next()
        codes = {attempt.exit_code for attempt in self.journal.done().values()}
        if missing is not None:
            self.say(f"{self._count()}; go on: drainproof campaign --resume {directory}")
            return code
        self.say(f"{self._count()}; compare: drainproof compare {directory}")
        return next(one for one in WORST if one in codes)

    def _try(self, slot: Slot) -> Attempt:
        journal, directory = self.journal, self.journal.directory
        number = len([one for one in journal.attempts if one.number == slot.number]) + 1
        log = directory / LOGS / f"{slot.number:03}-{number}.log"
        self.say(f"{_name(slot, journal)}: {_time_left(journal)}; log: {log}")
        journal.begin(Attempt(number=slot.number, started=_now(), before=tuple(journal.runs())))
        code = self._certified(slot, log)
        run = journal.made()
        state = _state(code, run, stopped=self.stopping.stopped)
        attempt = journal.update(ended=_now(), exit_code=code, run=run, state=state)
        self.say(f"{_name(slot, journal)}: {_told(attempt)}")
        if state in (State.COULD_NOT_RUN, State.KILLED):
            for line in _last_lines(log):
                self.say(f"  {line}")
        return attempt

    def _certified(self, slot: Slot, log: Path) -> int:
        """The exit code of the certification, which ends before this does: nothing may go on beside the next."""
        journal = self.journal
        process = start([*self.certify, *journal.plan.arguments(slot, journal.directory)], log, journal.directory)
        try:
            self.stopping.follow(process)
            journal.update(pid=process.pid)
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            self.stopping.process = None

    def _count(self) -> str:
        done = self.journal.done()
        told = [
            f"{count} {word}" for code, word in VERDICTS.items()
            if (count := sum(one.exit_code == code for one in done.values()))
        ]
        return f"{len(done)} of {len(self.journal.plan.slots())} runs done: {', '.join(told) or 'none'}"


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One campaign at a time in a directory; the lock goes with the process, however that ends."""
    with (directory / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRunError(f"A campaign is going on in {directory}; wait for it, or stop it.") from None
        yield


def _journal(directory: Path, plan: Plan | None) -> CampaignJournal:
    if (directory / CAMPAIGN).exists():
        journal = CampaignJournal.read(directory)
        if plan is not None and (differences := list(journal.plan.differences(plan))):
            told = "; ".join(differences)
            raise CannotRunError(
                f"The campaign in {directory} was begun with {told}; ask for the same, or name another directory."
            )
        return journal
    if plan is None:
        raise CannotRunError(f"There is no campaign in {directory}; name the directory of one.")
    journal = CampaignJournal(directory, plan)
    if runs := journal.runs():
        raise CannotRunError(f"{directory} holds runs already, such as {runs[0]}; name a directory of its own.")
    journal.write()
    return journal


def _recover(journal: CampaignJournal, stopping: Stopping, say: Say) -> None:
    """Close an attempt that was cut off with its campaign, once the certification itself has ended."""
    directory = journal.directory
    if goes_on(directory):
        told = ", ".join(str(process.pid) for process in holders(directory)) or "unknown"
        say(f"the certification of before still runs as process {told}; waiting until it has ended")
        outlive(directory, stopping)
    if not journal.attempts or journal.attempts[-1].state is not State.RUNNING:
        return
    run = journal.made()
    code = stored_code(directory / run) if run else None
    attempt = journal.update(run=run, exit_code=code, state=_state(code, run, stopped=stopping.stopped))
    if attempt.state is State.DONE and code is not None:
        say(f"run {run} was finished without its campaign and counts: {VERDICTS[code]}")


def _state(code: int | None, run: str, *, stopped: bool) -> State:
    """What an attempt comes to. No stop takes a verdict back; one of unknown may be for what was not done any more."""
    if run and (code == FAIL or code == 0):
        return State.DONE
    if stopped or code == INTERRUPTED:
        return State.INTERRUPTED
    if code not in (*VERDICTS, COULD_NOT_RUN):
        return State.KILLED
    return State.DONE if run and code in VERDICTS else State.COULD_NOT_RUN


def _name(slot: Slot, journal: CampaignJournal) -> str:
    total = len(journal.plan.slots())
    return f"run {slot.number} of {total}, storage class {slot.storage_class}, repetition {slot.repetition}"


def _told(attempt: Attempt) -> str:
    if attempt.state is State.DONE and attempt.exit_code is not None:
        return f"{VERDICTS[attempt.exit_code]} after {_minutes(attempt.seconds)}: {attempt.run}"
    return f"{attempt.state} (exit code {attempt.exit_code}) after {_minutes(attempt.seconds)}"


def _time_left(journal: CampaignJournal) -> str:
    done = journal.done().values()
    took = [one.seconds for one in done if one.ended]
    if not took:
        return "how long it takes is not known yet"
    left = len(journal.plan.slots()) - len(done)
    return f"about {_minutes(left * sum(took) / len(took))} left"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _last_lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
