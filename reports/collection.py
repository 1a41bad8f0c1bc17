"""Stored runs as the gate, the comparison and the trend read them: description and verdicts, without the samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drainproof.errors import RecordError
from drainproof.record import Run, RunInfo
from drainproof.record.run import RUN_FILE
from drainproof.record.run_manifest import RUN_MANIFEST, case_directories
from reports.judge import read_verdict
from reports.verdict import CaseVerdict


@dataclass(frozen=True)
class StoredRun:
    """One run as it was judged; cases in the order of their names."""

    directory: Path
    info: RunInfo
    cases: tuple[CaseVerdict, ...]
    unjudged: Mapping[str, str] = field(default_factory=dict)
    """Cases without a verdict that can be read, each with the reason; only `read_judged` leaves any."""


def find_runs(paths: Iterable[Path], *, remains: bool = False) -> list[Path]:
    """The run directories among the paths and directly below them, each once, sorted by name.

    With `remains` also those directories that are left of runs whose description is gone. Raises RecordError when a
    path is neither a run nor a directory that holds some.
    """
    found: set[Path] = set()
    for path in paths:
        inside = [path] if (path / RUN_FILE).exists() else [file.parent for file in path.glob(f"*/{RUN_FILE}")]
        if remains and inside != [path] and path.is_dir():
            inside += [one for one in (path, *path.iterdir()) if one.is_dir() and _is_remains(one)]
        if not inside:
            raise RecordError(f"{path}: is neither a run ({RUN_FILE}) nor a directory of runs; name such a directory")
        found.update(inside)
    return sorted(found, key=lambda run: (run.name, str(run)))


def _is_remains(path: Path) -> bool:
    """Whether a directory holds what a run consists of, but for its description."""
    if (path / RUN_FILE).exists():
        return False
    return (path / RUN_MANIFEST).exists() or bool(case_directories(path))


def read_run(directory: Path) -> StoredRun:
    """Read a run by its stored verdicts; raises RecordError when its description or a verdict cannot be read."""
    return StoredRun(directory, RunInfo.read(directory), tuple(read_verdict(case) for case in Run(directory).cases()))


def read_judged(directory: Path) -> StoredRun:
    """Read a run with those of its cases that were judged; raises RecordError when its description cannot be read."""
    info, judged, unjudged = RunInfo.read(directory), [], {}
    for case in Run(directory).cases():
        try:
            judged.append(read_verdict(case))
        except RecordError as error:
            unjudged[case.name] = str(error).replace(f"{directory}/", "")
    return StoredRun(directory, info, tuple(judged), unjudged)
