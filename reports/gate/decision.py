"""The decision: all runs against all of the policy, every reason collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.collection import find_runs
from reports.gate import campaigns, conditions, profiles, sameness
from reports.gate.answer import Answer, Reason, lacking
from reports.gate.examined import ExaminedRun, examine, set_aside
from reports.gate.policy import Policy, PolicyFile, load_policy
from reports.gate.repetitions import Findings, concerned, judge_requirement
from reports.verdict import Verdict

Tell = Callable[[str], None]


def decide(paths: Sequence[Path], policy_file: Path, now: datetime, tell: Tell = lambda _: None) -> Answer:
    """Hold runs, or directories of runs, against a policy at a moment; `tell` hears which run is judged.

    Raises CannotRunError when the policy cannot be used, or signatures cannot be verified on this machine, RecordError
    when a path leads to no run.
    """
    policy = load_policy(policy_file)
    journals, reasons = campaigns.journals(paths)
    aside = list(dict.fromkeys(place for journal in journals for place in campaigns.set_aside(journal)))
    directories = [run for run in find_runs(paths, remains=True) if run.resolve() not in aside]
    examined = []
    for number, directory in enumerate([*directories, *aside], 1):
        tell(f"run {number} of {len(directories) + len(aside)}: {directory.name}")
        run = examine(directory)
        examined.append(set_aside(run) if directory in aside else run)
    found = Findings()
    found.reasons.extend(reasons)
    for journal in journals:
        found.reasons.extend(campaigns.missing(journal, directories))
        found.notes.extend(campaigns.left_out(journal))
        found.notes.extend(campaigns.strangers(journal, directories))
    return weigh(examined, policy, now, found)


def weigh(examined: Sequence[ExaminedRun], file: PolicyFile, now: datetime, before: Findings | None = None) -> Answer:
    """Hold runs that have been examined against a policy, beside what has been found before.

    Raises CannotRunError when signatures cannot be verified on this machine.
    """
    policy, found = file.policy, before or Findings()
    aside = [run for run in examined if run.set_aside]
    whole = [run for run in examined if not run.set_aside]
    runs, doubled = sameness.distinct(whole)
    found.notes.extend(doubled)
    found.reasons.extend(sameness.contradictions(whole))
    for run in examined:
        found.reasons.extend(conditions.integrity(run))
    counted = [run for run in runs if _is_concerned(run, policy)]
    for run in runs:
        if run not in counted:
            found.notes.append(f"The run {run.id} has nothing that is asked for.")
            found.notes.extend(_notes(run))
    unfit = frozenset(run.id for run in counted if not _fits(run, file, now, found))
    found.reasons.extend(conditions.common_versions(counted, policy.evidence.same))
    found.reasons.extend(profiles.common(counted))
    for wanted in policy.require:
        judge_requirement(wanted, [*counted, *aside], unfit, found)
    return Answer(
        policy=policy.name, policy_sha256=file.sha256,
        now=now.astimezone(UTC).isoformat(timespec="seconds"), reasons=_ordered(found.reasons),
        notes=tuple(dict.fromkeys(found.notes)), tallies=tuple(dict.fromkeys(found.tallies)),
        runs=tuple(map(_told, [*runs, *aside])),
    )


def _is_concerned(run: ExaminedRun, policy: Policy) -> bool:
    """Whether the policy asks for anything of the run; of one that was altered, nobody can tell."""
    if run.alterations or run.unreadable or run.info is None:
        return True
    return any(concerned(case, wanted) for case in run.cases for wanted in policy.require)


def _fits(run: ExaminedRun, file: PolicyFile, now: datetime, found: Findings) -> bool:
    """Whether a pass of the run counts; adds what is wrong with the run, and what has to be said of it."""
    own = [
        *conditions.signature(run, file.policy.signature, file.path, now),
        *conditions.description(run, file.policy.evidence, now),
        *profiles.shipped(run),
    ]
    found.reasons.extend([*own, *_odd_verdicts(run)])
    found.notes.extend(_notes(run))
    return not (own or run.alterations or run.unsealed or run.unreadable)


def _odd_verdicts(run: ExaminedRun) -> list[Reason]:
    """Verdicts that the very checks that are said to have made them do not conclude."""
    return [
        lacking(
            f"run {run.id}, case {case.name}", "the stored verdict is what its checks conclude", case.differs,
            "Find out why; if drainproof itself was changed meanwhile, replace it: drainproof rejudge RUN --write.",
        )
        for case in run.cases if case.differs and case.same_checks
    ]


def _notes(run: ExaminedRun) -> list[str]:
    notes = [f"Run {run.id}: could not run: {reason}" for reason in run.refused]
    return notes + [
        f"Run {run.id}, case {case.name}: {case.differs}; the gate goes by its own."
        for case in run.cases if case.differs and not case.same_checks
    ]


def _ordered(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Each once, those against first, otherwise in the order of their objects."""
    return tuple(sorted(dict.fromkeys(reasons), key=lambda one: (not one.against, one.object, one.expected, one.seen)))


def _told(run: ExaminedRun) -> dict[str, Any]:
    cases = [
        {
            "case": case.name, "test": case.test, "storage_class": case.storage_class,
            "verdict": str(case.verdict.verdict if case.verdict else Verdict.UNKNOWN), "differs": case.differs,
        }
        for case in run.cases
    ]
    started = run.started.isoformat() if run.started else None
    return {
        "run": run.id, "directory": str(run.directory), "started": started, "sealed": not run.unsealed,
        "altered": bool(run.alterations), "set_aside": run.set_aside, "cases": cases,
    }
