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
from drainproof.record.run_manifest import NOT_SEALED, own_differences
from reports.collection import StoredRun, find_runs, read_judged
from reports.compare.campaigns import journals, missing, uncounted
from reports.description import storage_class
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
    uncounted: tuple[str, ...] = ()
    """Attempts of campaigns that do not count, in sentences."""

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(sorted({run.group for run in self.runs}))


def gather(paths: Iterable[Path], by: str) -> Gathered:
    """Read the runs in and below some directories, and group them by a fact of theirs.

    A run that cannot be read is left out by name. Raises CannotRunError when one was altered since it was sealed, when
    one is there twice, when one lacks the fact, or when a campaign has made one that is gone.
    """
    paths = list(paths)
    campaigns = journals(paths)
    found, left_out, refused = [], {}, [gone for journal in campaigns for gone in missing(journal)]
    for directory in find_runs(paths):
        try:
            stored = read_judged(directory)
            group = group_of(stored.info, by)
        except RecordError as error:
            left_out[directory.name] = str(error)
            continue
        if not group:
            refused.append(f"{directory.name} has no {by}: it cannot be grouped by that.")
        # The samples are not read again: a comparison of 200 runs must not take as long as judging them.
        troubles = own_differences(directory)
        sealed = troubles != [NOT_SEALED]
        refused += [f"{directory.name} is not as it was sealed: {trouble}" for trouble in troubles if sealed]
        found.append(GroupedRun(stored, group, _started(stored.info), sealed))
    refused += _twice(found)
    if refused:
        raise CannotRunError(*refused)
    told = tuple(sentence for journal in campaigns for sentence in uncounted(journal))
    return Gathered(tuple(sorted(found, key=lambda run: (run.started, run.id))), left_out, told)


def group_of(info: RunInfo, by: str) -> str:
    """What a run is grouped by: its storage class, or any fact of run.json by its dotted name; empty if it has none."""
    if by == STORAGE_CLASS:
        return storage_class(info)
    value: Any = asdict(info)
    for key in by.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)


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
