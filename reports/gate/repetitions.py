"""Whether each required test passed often enough on each storage class, and what that shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from reports.gate.answer import Reason, Tally, lacking
from reports.gate.examined import ExaminedCase, ExaminedRun
from reports.gate.holding import beside, reasons_of
from reports.gate.policy import WILD, Requirement, matches
from reports.gate.rate import runs_needed, upper_bound
from reports.verdict import Verdict, worst


@dataclass(frozen=True)
class Findings:
    """What has been found so far; it grows."""

    reasons: list[Reason] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)


@dataclass(frozen=True)
class _Repetition:
    """One run of one test on one storage class."""

    run: ExaminedRun
    reasons: tuple[Reason, ...]
    fits: bool

    @property
    def outcome(self) -> Verdict:
        return worst(reason.answer for reason in self.reasons) if self.reasons else Verdict.PASS


def concerned(case: ExaminedCase, wanted: Requirement) -> bool:
    """Whether a requirement is about the test and storage class of a case; where the record is mute, it is."""
    about = not case.test or matches(case.test, wanted.tests) or matches(case.name, wanted.tests)
    return about and (not case.storage_class or matches(case.storage_class, wanted.storage_classes))


def judge_requirement(
    wanted: Requirement, runs: Sequence[ExaminedRun], unfit: frozenset[str], found: Findings
) -> None:
    """Hold the runs against one requirement and add what is found; of the runs that are unfit, only failures count."""
    cases = [
        (run, case) for run in runs for case in run.cases
        if concerned(case, wanted) and (not run.set_aside or _refuted(run, case, wanted))
    ]
    for run, case in cases:
        found.notes.extend(beside(run.id, case, wanted))
        if not case.storage_class:
            found.reasons.append(_mute(run, case))
    options = _made_with([run for run, _ in cases])
    found.reasons.extend(_absent(wanted, [case for _, case in cases]))
    for test in sorted({case.label for _, case in cases}):
        for storage_class in _classes(wanted, [case for _, case in cases]):
            mine = [(run, case) for run, case in cases if (case.label, case.storage_class) == (test, storage_class)]
            _count(found, wanted, test, storage_class, _repetitions(mine, wanted, unfit), options)
        found.reasons.extend(_nowhere(wanted, test, [case for _, case in cases if case.label == test]))


def _refuted(run: ExaminedRun, case: ExaminedCase, wanted: Requirement) -> bool:
    return any(reason.against for reason in reasons_of(run.id, case, wanted))


def _repetitions(
    cases: Sequence[tuple[ExaminedRun, ExaminedCase]], wanted: Requirement, unfit: frozenset[str]
) -> list[_Repetition]:
    """One of each run, whatever number of cases it has of the test."""
    by_run: dict[str, tuple[ExaminedRun, list[Reason]]] = {}
    for run, case in cases:
        by_run.setdefault(run.id, (run, []))[1].extend(reasons_of(run.id, case, wanted))
    return [_Repetition(run, tuple(reasons), run.id not in unfit) for run, reasons in by_run.values()]


def _count(
    found: Findings, wanted: Requirement, test: str, storage_class: str, done: Sequence[_Repetition], options: str
) -> None:
    failed = [one for one in done if one.outcome is Verdict.FAIL]
    undecided = [one for one in done if one.outcome is Verdict.UNKNOWN]
    passed = [one for one in done if one.outcome is Verdict.PASS and one.fits]
    allowed = len(failed) <= wanted.failures_allowed
    for one in (*failed, *undecided):
        if allowed and one in failed:
            found.notes.append(f"Allowed failure of {test} on {storage_class} in run {one.run.id}: {_told(one)}")
        else:
            found.reasons.extend(one.reasons)
    tally = Tally(
        test=test, storage_class=storage_class, passed=len(passed), failed=len(failed), undecided=len(undecided),
        wanted=wanted.repetitions, fault_rate=upper_bound(len(failed), len(passed) + len(failed), wanted.confidence),
        confidence=wanted.confidence,
    )
    found.tallies.append(tally)
    unfit = len(done) - len(failed) - len(undecided) - len(passed)
    found.reasons.extend(_too_few(tally, wanted, unfit, options))


def _too_few(tally: Tally, wanted: Requirement, unfit: int, options: str) -> Iterator[Reason]:
    where = f"{tally.test} on storage class {tally.storage_class}"
    if tally.passed < tally.wanted:
        seen = f"{tally.passed} passed, {tally.failed} failed, {tally.undecided} undecided, {unfit} do not count"
        more = tally.wanted - tally.passed
        again = f"drainproof campaign --storage-class {shlex.quote(tally.storage_class)} --repeat {more}"
        remedy = f"Make {more} more: {again} {options} --runs DIRECTORY {shlex.quote(tally.test)}"
        yield lacking(where, _wanted(wanted), seen, remedy)
    if wanted.fault_rate is not None and tally.fault_rate > wanted.fault_rate:
        needed = runs_needed(tally.failed, wanted.fault_rate, wanted.confidence)
        enough = f"{needed} runs with {tally.failed} failures show it" if needed else "no number of runs shows it"
        expected = f"a share of failing runs of at most {wanted.fault_rate:g} with {wanted.confidence:.0%} confidence"
        seen = f"{tally.failed} of {tally.passed + tally.failed} failed: at most {tally.fault_rate:.3g}"
        yield lacking(where, expected, seen, f"Make more runs: {enough}.")


def _wanted(wanted: Requirement) -> str:
    return "1 run that passes" if wanted.repetitions == 1 else f"{wanted.repetitions} runs that pass"


def _made_with(runs: Sequence[ExaminedRun]) -> str:
    """Target and profile as the last of the runs was made with them, for a command; in capitals where none tells."""
    told = {"--target": "TARGET", "--profile": "PROFILE"}
    last = max((run for run in runs if run.info), key=lambda run: (str(run.started), run.id), default=None)
    command = last.info.command if last and last.info else ""
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError:  # the words of a record are anything
        words = []
    told |= {name: shlex.quote(value) for name, value in pairwise(words) if name in told}
    return " ".join(f"{name} {value}" for name, value in told.items())


def _nowhere(wanted: Requirement, test: str, cases: Sequence[ExaminedCase]) -> Iterator[Reason]:
    """Patterns of storage classes that fit none on which the test was run: nothing was shown of them."""
    for pattern in wanted.storage_classes:
        if WILD.search(pattern) and not any(matches(case.storage_class, (pattern,)) for case in cases):
            expected = f"{_wanted(wanted)} on each"
            remedy = "Certify it on such a class, or correct the pattern."
            yield lacking(f"{test} on storage classes {pattern!r}", expected, "no run of it is on such a class", remedy)


def _absent(wanted: Requirement, cases: Sequence[ExaminedCase]) -> Iterator[Reason]:
    """Tests that no run has at all; what some run has on one storage class is expected on all."""
    for pattern in wanted.tests:
        if not any(matches(case.test, (pattern,)) or matches(case.name, (pattern,)) for case in cases):
            places = " or ".join(map(repr, wanted.storage_classes))
            expected = f"{_wanted(wanted)} on storage class {places}"
            remedy = "Certify it, and name the run."
            yield lacking(f"test {pattern!r}", expected, "no intact run has such a case", remedy)


def _classes(wanted: Requirement, cases: Sequence[ExaminedCase]) -> list[str]:
    """Those that the policy writes out, and those seen that fit its patterns."""
    literal = {name for name in wanted.storage_classes if not WILD.search(name)}
    return sorted(literal | {case.storage_class for case in cases if case.storage_class})


def _mute(run: ExaminedRun, case: ExaminedCase) -> Reason:
    where = f"run {run.id}, case {case.name}"
    return lacking(where, "a known storage class", "the record does not tell", "Use a run that tells its target's.")


def _told(one: _Repetition) -> str:
    return "; ".join(f"{reason.object}: {reason.seen}" for reason in one.reasons)
