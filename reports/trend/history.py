"""The runs of a directory in the order of their time, apart by what makes them incomparable; damage is listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from drainproof.errors import CannotRunError, RecordError
from drainproof.record import Run, RunInfo
from drainproof.record.run import RUN_FILE
from reports.collection import find_runs
from reports.description import storage_class
from reports.judge import read_verdict
from reports.trend.entries import Entry, Key, entries

MISSING = "not told"
SAME_BOOT_SECONDS = 60.0
"""Two runs whose clocks put the start of their machine this close are taken to be of one boot."""


@dataclass(frozen=True)
class Row:
    """One run: its description, and what it says in each series. Samples and parts of claims are not kept."""

    directory: Path
    info: RunInfo
    started: datetime
    entries: Mapping[Key, Entry]
    cases: frozenset[str]

    @property
    def id(self) -> str:
        return self.info.run_id


@dataclass(frozen=True)
class Damage:
    """A run, or a case of one, that cannot be read; `newest` when it may be newer than what could be read."""

    directory: Path
    reason: str
    when: datetime | None
    """When the run started; if even that cannot be read, when the file was last written."""


@dataclass(frozen=True)
class Stream:
    """Runs that can be compared: of one target, storage class and profile, from the oldest to the newest."""

    name: Mapping[str, str]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """`lab, lab-shared, quick`."""
        return ", ".join(value or MISSING for value in self.name.values())


@dataclass(frozen=True)
class History:
    """All that was found."""

    streams: tuple[Stream, ...]
    damaged: tuple[Damage, ...]
    duplicates: tuple[str, ...]
    """Run ids that were found more than once, and counted once."""


def load(paths: Iterable[Path], by: Sequence[str] = ()) -> History:
    """Read all runs; `by` names further keys of run.json (`versions.kubevirt`) by which runs are kept apart.

    Raises RecordError when there is no run, CannotRunError when no run has such a key.
    """
    rows: dict[str, Row] = {}
    damaged: list[Damage] = []
    duplicates: set[str] = set()
    for directory in find_runs(paths):
        row = _row(directory, damaged)
        if row is None:
            continue
        known = rows.get(row.id)
        duplicates |= {row.id} if known else set()
        rows[row.id] = row if known is None else max(known, row, key=lambda one: len(one.entries))
    for key in by:
        if all(_at(row.info, key) == "" for row in rows.values()):
            raise CannotRunError(f"No run has {key!r} in its {RUN_FILE}; name such a key, as versions.kubevirt.")
    return History(_streams(rows.values(), by), tuple(damaged), tuple(sorted(duplicates)))


def _row(directory: Path, damaged: list[Damage]) -> Row | None:
    try:
        info = _shaped(directory, RunInfo.read(directory))
        started = _moment(directory, info)
    except RecordError as error:
        damaged.append(Damage(directory, str(error), _written(directory / RUN_FILE)))
        return None
    found: dict[Key, Entry] = {}
    cases: set[str] = set()
    for case in Run(directory).cases():
        try:
            verdict = read_verdict(case)
            found |= entries(verdict)
            cases.add(verdict.case)
        except (RecordError, AttributeError, TypeError, ValueError) as error:
            damaged.append(Damage(case, str(error), started))
    return Row(directory, info, started, found, frozenset(cases))


def _shaped(directory: Path, info: RunInfo) -> RunInfo:
    """The description, if its parts are of the kinds that the analysis reads; raises RecordError otherwise."""
    kinds = (
        ("run_id", info.run_id, str), ("target", info.target, Mapping), ("settings", info.settings, Mapping),
        ("versions", info.versions, Mapping), ("environment", info.environment, Mapping),
        ("anchor.wall_ns", info.anchor.wall_ns, int),
        ("anchor.monotonic_ns", info.anchor.monotonic_ns, int),
    )
    if wrong := [name for name, value, kind in kinds if not isinstance(value, kind)]:
        raise RecordError(f"{directory / RUN_FILE}: {', '.join(wrong)}: not of the kind that a run's description has")
    return info


def _moment(directory: Path, info: RunInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(info.started)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"{directory / RUN_FILE}: started is no time: {info.started!r}") from error


def _written(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except OSError:
        return None


def _streams(rows: Iterable[Row], by: Sequence[str]) -> tuple[Stream, ...]:
    apart: dict[tuple[tuple[str, str], ...], list[Row]] = defaultdict(list)
    for row in rows:
        apart[tuple(_identity(row.info, by).items())].append(row)
    streams = []
    for identity in sorted(apart):
        ordered = sorted(apart[identity], key=lambda row: (row.started, row.info.anchor.monotonic_ns, row.id))
        streams.append(Stream(dict(identity), tuple(ordered), _clock_notes(ordered)))
    return tuple(streams)


def _identity(info: RunInfo, by: Sequence[str]) -> dict[str, str]:
    """What two runs must share to be of one series."""
    return {
        "target": "/".join(str(part) for part in (info.target.get("name", ""), info.target.get("context", "")) if part),
        "storage class": storage_class(info),
        "profile": str(info.settings.get("name", "")),
        **{key: _at(info, key) for key in by},
    }


def _at(info: RunInfo, path: str) -> str:
    """A value of run.json by its dotted path; empty where there is none."""
    here: Any = {
        "target": info.target, "settings": info.settings, "versions": info.versions, "seed": info.seed,
        "command": info.command, "environment": info.environment,
    }
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return ""
        here = here[part]
    return str(here)


def _clock_notes(rows: Sequence[Row]) -> tuple[str, ...]:
    """Neighbours that one machine with a steady clock cannot have recorded in this order.

    A machine that is started anew between two runs starts after the first of them began. Where the clocks say that it
    started earlier, and at another moment than for the first run, a clock was set, or there are two machines.
    """
    odd = [
        f"{before.id} and {after.id}"
        for before, after in pairwise(rows)
        if ((boot := _boot(after)) - _boot(before) > SAME_BOOT_SECONDS and boot < before.started.timestamp())
        or _boot(before) - boot > SAME_BOOT_SECONDS
    ]
    if not odd:
        return ()
    return (
        f"Recorded on different machines, or the clock was set in between, so that their order may be wrong: "
        f"{'; '.join(odd[:3])}{f' and {len(odd) - 3} more pairs' if len(odd) > 3 else ''}.",
    )


def _boot(row: Row) -> float:
    return (row.info.anchor.wall_ns - row.info.anchor.monotonic_ns) / 1e9
