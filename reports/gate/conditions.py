"""What a run must be like to count as evidence: intact, signed, of the wanted profile, target, age and versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from drainproof.record.signature import Signed, verify_signature
from reports.gate.answer import Reason, against, lacking
from reports.gate.examined import ExaminedRun
from reports.gate.policy import Evidence, Signature, matches

LOOK = "Find out who changed it and why; leave the run out only when that is known."
UNKNOWN = "unknown"
"""So begins what a run records of a version that it was not allowed to read."""
AGAIN = "Certify again as the policy wants it, or leave the run out."


def integrity(run: ExaminedRun) -> Iterator[Reason]:
    """Whether the run is the one that was made."""
    for difference in run.alterations:
        yield against(f"run {run.id} in {run.directory}", "the record as it was sealed", difference, LOOK)
    for difference in run.unreadable:
        remedy = "Make it readable to whoever asks, then ask again."
        yield lacking(f"run {run.id} in {run.directory}", "a record that can be read", difference, remedy)
    for difference in () if run.set_aside else run.unsealed:
        remedy = "Use a run that came to its end, made by a version that seals runs."
        yield lacking(f"run {run.id} in {run.directory}", "a sealed run", difference, remedy)


def signature(run: ExaminedRun, wanted: Signature | None, policy: Path, now: datetime) -> Iterator[Reason]:
    """Whether somebody whom the policy names vouches for the run. Raises CannotRunError without ssh-keygen."""
    if wanted is None or run.manifest is None:
        return
    signers = policy.parent / wanted.allowed_signers
    found = verify_signature(run.directory, signers, wanted.identities, now, run.manifest)
    expected, where = f"signed by {' or '.join(wanted.identities)}", f"run {run.id}"
    if found.state is Signed.MISFIT:
        yield against(where, expected, f"the signature does not fit the manifest: {found.words}", LOOK)
    elif not wanted.required:
        return
    elif found.state is Signed.MISSING:
        yield lacking(where, expected, "not signed", "Have one of them run `drainproof sign RUN --key FILE`.")
    elif found.state is Signed.STRANGER:
        seen = f"the signature is by nobody of them: {found.words}"
        yield lacking(where, expected, seen, "Have one of them sign it, or correct the policy's allowed signers.")


def description(run: ExaminedRun, wanted: Evidence, now: datetime) -> Iterator[Reason]:
    """Whether the run was made as the policy wants it, where and when it wants it."""
    if run.info is None:
        return
    where, target = f"run {run.id}", run.info.target
    named = [
        ("the profile", run.info.settings.get("name"), wanted.profiles),
        ("the target", target.get("name"), wanted.targets),
        ("the context", target.get("context", ""), wanted.contexts),
    ]
    for what, seen, patterns in named:
        if not isinstance(seen, str) or not matches(seen, patterns):
            yield lacking(where, f"{what} {' or '.join(map(repr, patterns))}", _seen(seen), AGAIN)
    if not wanted.emulated and target.get("emulated") is not False:
        seen = "emulated guests" if target.get("emulated") is True else "the record does not tell"
        yield lacking(where, "guests on real hardware", seen, "Certify on hardware, or allow emulated = true.")
    yield from _age(run, wanted.max_age_days, now)
    for name, pattern in sorted(wanted.versions.items()):
        version = run.info.versions.get(name)
        if _is_unknown(version) or not matches(str(version), (pattern,)):
            yield lacking(where, f"version {pattern!r} of {name}", _seen(version), AGAIN)


def common_versions(runs: Sequence[ExaminedRun], names: Sequence[str]) -> Iterator[Reason]:
    """Whether all runs were made with the same versions of what the policy names; what nobody tells is not the same."""
    for name in names:
        by_version: dict[str, list[str]] = defaultdict(list)
        unknown: list[str] = []
        for run in runs:
            if run.info is not None:
                version = run.info.versions.get(name)
                by_version[_seen(version)].append(run.id)
                unknown += [run.id] if _is_unknown(version) else []
        seen = "; ".join(f"{version}: {', '.join(sorted(ids))}" for version, ids in sorted(by_version.items()))
        if len(by_version) > 1:
            yield lacking("the runs", f"the same version of {name} in all", seen, AGAIN)
        elif unknown:
            remedy = "Correct the name in evidence.same, or let the harness read this version and certify again."
            yield lacking("the runs", f"a known version of {name} in all", seen, remedy)


def _is_unknown(version: object) -> bool:
    """Whether a version says no more than that, or why, it is not known."""
    return version is None or not str(version).strip() or str(version).startswith(UNKNOWN)


def _age(run: ExaminedRun, most_days: float | None, now: datetime) -> Iterator[Reason]:
    where, started = f"run {run.id}", run.started
    if started is None:
        yield lacking(where, "a run that tells when it began", "its time cannot be read", AGAIN)
    elif started > now:
        seen = f"it began at {_shown(started)}, after {_shown(now)}"
        yield lacking(where, "a run of the past", seen, "Set the clocks right, of this machine or of the one that ran.")
    elif most_days is not None and now - started > timedelta(days=most_days):
        days = (now - started) / timedelta(days=1)
        yield lacking(where, f"at most {most_days:g} days old", f"{days:.1f} days, of {_shown(started)}", AGAIN)


def _seen(value: object) -> str:
    return "the record does not tell" if value is None else str(value)


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
