"""A run as the gate sees it: verified against its manifests, then judged again from its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drainproof.errors import DrainproofError, RecordError
from drainproof.record import CaseReader, Run, RunInfo
from drainproof.record.case import EVENTS, read_json
from drainproof.record.manifest import MANIFEST, digest_of
from drainproof.record.run import RUN_FILE
from drainproof.record.run_manifest import NEVER, NOT_SEALED, REFUSED, Verification, verification
from reports import description
from reports.judge import conclude, read_verdict
from reports.skipped import skipped
from reports.verdict import CaseVerdict

SUITES = "suites/"


@dataclass(frozen=True)
class ExaminedCase:
    """One case, judged by the checks of this version."""

    name: str
    storage_class: str
    """Empty when the record does not tell."""
    test: str = ""
    """FILE::NAME as seen from the suites; empty when the record does not tell."""
    verdict: CaseVerdict | None = None
    """None: it could not be judged; `trouble` says why."""
    trouble: str = ""
    skipped: str = ""
    """Why it never ran though the run was asked for it; empty when it ran."""
    differs: str = ""
    """How the stored verdict differs from this one, or empty."""
    same_checks: bool = True
    """Whether the stored verdict was made by the checks of this version."""
    directory: Path | None = None
    """Where its evidence lies, to be judged by stricter limits; None: it cannot be."""

    @property
    def label(self) -> str:
        """By which the same test is known in other runs."""
        return self.test or self.name


@dataclass(frozen=True)
class ExaminedRun:
    """One run; of one that was altered, no case is looked at."""

    directory: Path
    info: RunInfo | None
    """None: it cannot be read."""
    differences: tuple[str, ...] = ()
    """How it differs from its manifests."""
    unreadable: tuple[str, ...] = ()
    """What of it could not be read here, so that nobody can say whether it was changed."""
    manifest: bytes | None = field(default=None, repr=False)
    """The manifest that it was verified against, for its signature; None: there is none."""
    cases: tuple[ExaminedCase, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)
    """By case, the digest of its manifest, or of its events when it has none."""
    events: Mapping[str, str] = field(default_factory=dict)
    """By case, the digest of its events, which no two runs have in common; of a case without any there is none."""
    refused: tuple[str, ...] = ()
    """What of it could not run."""
    set_aside: bool = False
    """Whether its campaign has made it again: only what it refutes counts."""

    @property
    def id(self) -> str:
        return str(self.info.run_id) if self.info else self.directory.name

    @property
    def alterations(self) -> tuple[str, ...]:
        """What was changed, added or lost since the run was sealed."""
        return tuple(one for one in self.differences if not one.endswith(NEVER))

    @property
    def unsealed(self) -> tuple[str, ...]:
        """That the run was never sealed; of a case that was not, the claim that its record is intact tells."""
        return tuple(one for one in self.differences if one == NOT_SEALED)

    @property
    def started(self) -> datetime | None:
        """When the run began; None when the record does not tell."""
        try:
            moment = datetime.fromisoformat(self.info.started if self.info else "")
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            return None


def examine(directory: Path) -> ExaminedRun:
    """Verify a run and judge its cases; whatever is wrong with it is told in what is returned."""
    try:
        verified = verification(directory)
    except Exception as error:  # noqa: BLE001 - one damaged run must not keep the gate from answering about the others
        verified = Verification(unreadable=(f"the run cannot be verified: {_told(error, directory)}",))
    run = ExaminedRun(directory, None, verified.differences, verified.unreadable, verified.manifest)
    try:
        run = replace(run, info=_described(directory))
        if run.alterations or run.unreadable:
            return run
        return replace(run, **_contents(directory, run.info))
    except Exception as error:  # noqa: BLE001 - as above
        # Of a run that was altered, that tells why it cannot be read.
        return run if run.alterations else replace(run, unreadable=(*run.unreadable, _told(error, directory)))


def set_aside(run: ExaminedRun) -> ExaminedRun:
    """The run as one whose campaign has made it again.

    A case that was never sealed was cut off, and what was about to come would be taken for what never came.
    """
    ended = tuple(case for case in run.cases if (run.directory / case.name / MANIFEST).exists())
    return replace(run, set_aside=True, cases=ended)


def _described(directory: Path) -> RunInfo:
    """The run's description. Raises RecordError when it is none."""
    info = RunInfo.read(directory)
    for name in ("target", "settings", "versions"):
        if not isinstance(getattr(info, name), Mapping):
            raise RecordError(f"{RUN_FILE}: cannot be read as the description of a run: {name} is no table")
    if not all(isinstance(moment, int) for moment in (info.anchor.monotonic_ns, info.anchor.wall_ns)):
        raise RecordError(f"{RUN_FILE}: cannot be read as the description of a run: its anchor is no moment")
    return info


def _contents(directory: Path, info: RunInfo | None) -> dict[str, Any]:
    """The cases of a run that nothing is wrong with, judged; and by what they are known."""
    assert info is not None
    cases = Run(directory).cases()
    return {
        "cases": (*(_case(case, info) for case in cases), *_skipped(directory, info)),
        "evidence": {
            case.name: digest_of(case / (MANIFEST if (case / MANIFEST).exists() else EVENTS)) for case in cases
        },
        "events": {case.name: digest_of(case / EVENTS) for case in cases if (case / EVENTS).stat().st_size},
        "refused": _refused(directory),
    }


def _told(error: Exception, directory: Path) -> str:
    told = str(error) if isinstance(error, DrainproofError) else f"{type(error).__name__}: {error}"
    return told.replace(f"{directory}/", "")


def _case(directory: Path, info: RunInfo) -> ExaminedCase:
    test, storage_class = "", description.storage_class(info)
    try:
        reader = CaseReader(directory)
        begun = [event.object for event in reader.events("run", "case")]
        deployed = [event.data.get("storage_class") for event in reader.events(kind="deployed")]
        test = str(begun[0]).removeprefix(SUITES) if begun else ""
        storage_class = str(deployed[0]) if deployed and deployed[0] else storage_class
        verdict = conclude(directory)
    except Exception as error:  # noqa: BLE001 - a record that breaks the judge is a reason, beside all others
        return ExaminedCase(directory.name, storage_class, test, trouble=_told(error, directory))
    differs, same = _compared(directory, verdict)
    return ExaminedCase(
        directory.name, storage_class, test, verdict, differs=differs, same_checks=same, directory=directory
    )


def _skipped(directory: Path, info: RunInfo) -> Iterator[ExaminedCase]:
    """The cases that the run was asked for and that never began. Raises RecordError when their list is damaged."""
    storage_class = description.storage_class(info)
    for one in skipped(directory):
        yield ExaminedCase(one.case, storage_class, one.test.removeprefix(SUITES), skipped=one.reason or "not told why")


def _compared(case: Path, found: CaseVerdict) -> tuple[str, bool]:
    """How the stored verdict differs, and whether the checks of this version had made it."""
    try:
        stored = read_verdict(case)
    except RecordError:
        return "there is no stored verdict that could be read", False
    same = stored.judged_by.get("version") == found.judged_by.get("version")
    if stored.verdict is not found.verdict:
        return f"the stored verdict is {stored.verdict}, these checks conclude {found.verdict}", same
    before = {claim.id: claim.verdict for claim in stored.claims}
    changed = [claim.id for claim in found.claims if before.get(claim.id, claim.verdict) is not claim.verdict]
    return (f"the stored verdict differs in {', '.join(changed)}" if changed else ""), same


def _refused(directory: Path) -> tuple[str, ...]:
    if not (directory / REFUSED).exists():
        return ()
    try:
        return tuple(str(reason) for reason in read_json(directory / REFUSED)["reasons"])
    except (RecordError, KeyError, TypeError) as error:
        return (f"{REFUSED} cannot be read: {error}",)

