"""The runs that are compared: read, seen to be as they were sealed, each in its group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from drainproof.errors import CannotRunError, RecordError
from drainproof.record import RunInfo
from drainproof.record.manifest import digest_of
from drainproof.record.run_manifest import RUN_MANIFEST, read_run_manifest
from reports.collection import StoredRun, find_runs, read_judged
from reports.verdict import CaseVerdict

STORAGE_CLASS: Final = "storage-class"
"""The class that a run's machines had their disks in, whether its profile or its target named it."""


@dataclass(frozen=True)
class GroupedRun:
    """One run in its group; the unit of the comparison."""

    stored: StoredRun
    group: str
    started: float
    """Seconds since 1970."""
    sealed: bool

    @property
    def id(self) -> str:
        return self.stored.info.run_id

    def case(self, name: str) -> CaseVerdict | None:
        """The verdict about one of its cases, if it has one."""
        return next((case for case in self.stored.cases if case.case == name), None)


@dataclass(frozen=True)
class Gathered:
    """The runs in the order in which they were started, and those that could not be taken in."""

    runs: tuple[GroupedRun, ...]
    left_out: Mapping[str, str]
    """Directories by name, each with the reason."""

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(sorted({run.group for run in self.runs}))


def gather(paths: Iterable[Path], by: str) -> Gathered:
    """Read the runs in and below some directories, and group them by a fact of theirs.

    A run that cannot be read is left out by name. Raises CannotRunError when one was altered since it was sealed, when
    one is there twice, or when one lacks the fact.
    """
    found, left_out, refused = [], {}, []
    for directory in find_runs(paths):
        try:
            stored = read_judged(directory)
            group = group_of(stored.info, by)
        except RecordError as error:
            left_out[directory.name] = str(error)
            continue
        if not group:
            refused.append(f"{directory.name} has no {by}: it cannot be grouped by that.")
        refused += [f"{directory.name} was altered: {trouble}" for trouble in alterations(directory)]
        sealed = (directory / RUN_MANIFEST).exists()
        found.append(GroupedRun(stored, group, _started(stored.info), sealed))
    refused += _twice(found)
    if refused:
        raise CannotRunError(*refused)
    return Gathered(tuple(sorted(found, key=lambda run: (run.started, run.id))), left_out)


def group_of(info: RunInfo, by: str) -> str:
    """What a run is grouped by: its storage class, or any fact of run.json by its dotted name; empty if it has none."""
    if by == STORAGE_CLASS:
        portal, classes = info.settings.get("portal") or {}, info.target.get("storage_classes") or {}
        return str(portal.get("storage_class") or classes.get("shared") or "")
    value: Any = asdict(info)
    for key in by.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


def alterations(run: Path) -> list[str]:
    """How the description and the verdicts of a sealed run differ from what was sealed; of others nothing is known.

    The samples are not read again: a comparison of 200 runs must not take as long as judging them.
    """
    if not (run / RUN_MANIFEST).exists():
        return []
    try:
        _, sealed = read_run_manifest(run)
    except RecordError as error:
        return [str(error).replace(f"{run}/", "")]
    differing = [file for file, entry in sealed.items() if not _is_as_sealed(run / file, entry.sha256)]
    verdicts = {str(path.relative_to(run)) for path in run.glob("*/verdict.json")}
    added = sorted(verdicts - set(sealed))
    return [f"{file} is not what was sealed" for file in differing] + [f"{file} was never sealed" for file in added]


def _is_as_sealed(path: Path, sha256: str) -> bool:
    try:
        return digest_of(path) == sha256
    except OSError:
        return False


def _started(info: RunInfo) -> float:
    try:
        return datetime.fromisoformat(info.started).timestamp()
    except ValueError:
        return info.anchor.wall_ns / 1e9


def _twice(runs: Sequence[GroupedRun]) -> list[str]:
    """Runs that were copied: one run is one run, however often it is there."""
    places: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for run in runs:
        places["id", run.id].append(str(run.stored.directory))
        anchor = run.stored.info.anchor
        places["anchor", anchor.monotonic_ns, anchor.wall_ns].append(str(run.stored.directory))
    repeated = dict.fromkeys(tuple(where) for where in places.values() if len(where) > 1)
    return [f"the same run is there {len(where)} times: {', '.join(where)}; name it once." for where in repeated]
