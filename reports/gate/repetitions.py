"""Whether each required test passed often enough on each storage class, and what that shows."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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
    cases = [(run, case) for run in runs for case in run.cases if concerned(case, wanted)]
    for run, case in cases:
        found.notes.extend(beside(run.id, case, wanted))
        if not case.storage_class:
            found.reasons.append(_mute(run, case))
    found.reasons.extend(_absent(wanted, [case for _, case in cases]))
    for test in sorted({case.label for _, case in cases}):
        for storage_class in _classes(wanted, [case for _, case in cases]):
            mine = [(run, case) for run, case in cases if (case.label, case.storage_class) == (test, storage_class)]
            _count(found, wanted, test, storage_class, _repetitions(mine, wanted, unfit))


def _repetitions(
    cases: Sequence[tuple[ExaminedRun, ExaminedCase]], wanted: Requirement, unfit: frozenset[str]
) -> list[_Repetition]:
    """One of each run, whatever number of cases it has of the test."""
    by_run: dict[str, tuple[ExaminedRun, list[Reason]]] = {}
    for run, case in cases:
        by_run.setdefault(run.id, (run, []))[1].extend(reasons_of(run.id, case, wanted))
    return [_Repetition(run, tuple(reasons), run.id not in unfit) for run, reasons in by_run.values()]


def _count(found: Findings, wanted: Requirement, test: str, storage_class: str, done: Sequence[_Repetition]) -> None:
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
    found.reasons.extend(_too_few(tally, wanted, unfit))


def _too_few(tally: Tally, wanted: Requirement, unfit: int) -> Iterator[Reason]:
    where = f"{tally.test} on storage class {tally.storage_class}"
    if tally.passed < tally.wanted:
        seen = f"{tally.passed} passed, {tally.failed} failed, {tally.undecided} undecided, {unfit} do not count"
        more = tally.wanted - tally.passed
        again = f"drainproof campaign --storage-class {shlex.quote(tally.storage_class)} --repeat {more}"
        remedy = f"Make {more} more: {again} {shlex.quote(tally.test)}"
        yield lacking(where, f"{tally.wanted} runs that pass", seen, remedy)
    if wanted.fault_rate is not None and tally.fault_rate > wanted.fault_rate:
        needed = runs_needed(tally.failed, wanted.fault_rate, wanted.confidence)
        enough = f"{needed} runs with {tally.failed} failures show it" if needed else "no number of runs shows it"
        expected = f"a share of failing runs of at most {wanted.fault_rate:g} with {wanted.confidence:.0%} confidence"
        seen = f"{tally.failed} of {tally.passed + tally.failed} failed: at most {tally.fault_rate:.3g}"
        yield lacking(where, expected, seen, f"Make more runs: {enough}.")


def _absent(wanted: Requirement, cases: Sequence[ExaminedCase]) -> Iterator[Reason]:
    """Tests that no run has at all; what some run has on one storage class is expected on all."""
    for pattern in wanted.tests:
        if not any(matches(case.test, (pattern,)) or matches(case.name, (pattern,)) for case in cases):
            places = " or ".join(map(repr, wanted.storage_classes))
            expected = f"{wanted.repetitions} runs that pass on storage class {places}"
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
