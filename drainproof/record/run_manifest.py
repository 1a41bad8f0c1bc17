"""The run's manifest: the digests of what a run consists of, so that cases and verdicts cannot be exchanged unseen.

It covers the run's description, what was refused, each case's own manifest and each case's verdict. The reports beside
them are made from these and may be made again, and the journal may grow when a cluster is cleaned up later; neither is
covered. The same run gives the same bytes, which somebody may sign (`drainproof.record.signature`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from drainproof.errors import RecordError
from drainproof.record import manifest
from drainproof.record.case import EVENTS, VERDICT, read_json, write_json
from drainproof.record.run import RUN_FILE, RunInfo

RUN_MANIFEST: Final = "run-manifest.json"
VERSION: Final = 1
REFUSED: Final = "refused.json"
OF_THE_RUN: Final = (RUN_FILE, REFUSED)
OF_A_CASE: Final = (manifest.MANIFEST, VERDICT)
CASE_MARKS: Final = (EVENTS, *OF_A_CASE)
"""A directory of the run that holds any of these is a case."""
SEALED: Final = "since the run was sealed"
NEVER: Final = "was never sealed"
"""Ends what is told of a run or a case without a manifest: nobody can say whether it was changed."""
NOT_SEALED: Final = f"{RUN_MANIFEST} is missing: the run {NEVER}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the run, named as seen from the run's directory."""

    file: str
    bytes: int
    sha256: str


def seal_run(run: Path) -> None:
    """Write the manifest of a run whose cases have been judged; what a case lacks is left out, and seen to be missing.

    Raises RecordError when the run's description or one of the files cannot be read.
    """
    run_id = RunInfo.read(run).run_id
    entries = [asdict(_entry(run, file)) for file in _files(run)]
    write_json(run / RUN_MANIFEST, {"version": VERSION, "run_id": run_id, "files": entries})


def verify_run(run: Path) -> list[str]:
    """What differs from what was sealed, in the run and in each of its cases, a sentence per file."""
    run = run.resolve()
    if foreign := [f"{_inside(run, path)} is no plain file: a record holds its own files" for path in _foreign(run)]:
        return foreign
    differences = _own_differences(run)
    for case in case_directories(run):
        # A case's manifest that is not the one that was sealed tells nothing about the other files.
        if not any(one.startswith(f"{case.name}/{manifest.MANIFEST} ") for one in differences):
            differences += [_of_case(run, case, trouble) for trouble in manifest.verify(case)]
    return list(dict.fromkeys(differences))


def _own_differences(run: Path) -> list[str]:
    """What differs from the run's manifest itself; the evidence of the cases is not looked at."""
    if not (run / RUN_MANIFEST).exists():
        return [NOT_SEALED]
    try:
        run_id, sealed = read_run_manifest(run)
        found = {file: _entry(run, file) for file in _files(run)}
    except RecordError as error:
        return [str(error).replace(f"{run}/", "")]
    compared = (_compared(file, sealed.get(file), found.get(file)) for file in sorted({*sealed, *found}))
    differences = [trouble for trouble in compared if trouble]
    with suppress(RecordError):  # a description that cannot be read is not the one that was sealed, and told above
        if (mine := RunInfo.read(run).run_id) != run_id:
            differences.append(f"{RUN_MANIFEST} belongs to the run {run_id!r}, not to {mine!r}")
    return differences


def read_run_manifest(run: Path) -> tuple[str, Mapping[str, Entry]]:
    """The run's id and its entries by file; raises RecordError when it is missing or no manifest of this version."""
    path = run / RUN_MANIFEST
    try:
        content = read_json(path)
        if content["version"] != VERSION:
            raise ValueError(f"version {content['version']} is not the version {VERSION} that is known")
        entries = [_read_entry(entry) for entry in content["files"]]
        run_id = str(content["run_id"])
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RecordError(f"{path} is not a manifest of a run: {error}") from error
    if not entries or len({entry.file for entry in entries}) < len(entries):
        raise RecordError(f"{path} is not a manifest of a run: it names no file, or one twice")
    return run_id, {entry.file: entry for entry in entries}


def renewable(run: Path, judged: Sequence[Path]) -> list[str]:
    """Why the manifest may not be renewed when the verdicts of some cases are replaced; nothing when it may.

    Whatever else differs from the manifest would be covered up, as would a record that was never sealed.
    """
    replaced = {_inside(run.resolve(), case.resolve() / VERDICT) for case in judged}
    return [trouble for trouble in verify_run(run) if trouble.partition(" ")[0] not in replaced]


def case_directories(run: Path) -> list[Path]:
    """Whatever looks like a case of the run, by name: a directory with events, a manifest or a verdict."""
    return sorted(
        path for path in run.iterdir() if path.is_dir() and any(os.path.lexists(path / name) for name in CASE_MARKS)
    )


def _files(run: Path) -> Iterator[str]:
    yield from (name for name in OF_THE_RUN if (run / name).exists())
    for case in case_directories(run):
        yield from (f"{case.name}/{name}" for name in OF_A_CASE if (case / name).exists())


def _entry(run: Path, file: str) -> Entry:
    try:
        return Entry(file, (run / file).stat().st_size, manifest.digest_of(run / file))
    except OSError as error:
        raise RecordError(f"{file}: cannot be read: {error.strerror}") from error


def _read_entry(entry: Mapping[str, Any]) -> Entry:
    return Entry(str(entry["file"]), int(entry["bytes"]), str(entry["sha256"]))


def _foreign(run: Path) -> Iterator[Path]:
    """What leads out of the run, or could not be read to an end: symbolic links, pipes, devices."""
    for directory, folders, files in os.walk(run):
        yield from (path for name in sorted(folders) if (path := Path(directory, name)).is_symlink())
        yield from (
            path for name in sorted(files) if (path := Path(directory, name)).is_symlink() or not path.is_file()
        )


def _compared(file: str, sealed: Entry | None, found: Entry | None) -> str:
    if sealed is None:
        return f"{file} was added {SEALED}"
    if found is None:
        return f"{file} is missing"
    if found.bytes != sealed.bytes:
        return f"{file} was changed {SEALED}: {found.bytes} bytes instead of {sealed.bytes}"
    if found.sha256 != sealed.sha256:
        return f"{file} was changed {SEALED}: its sha256 begins with {found.sha256[:12]}"
    return ""


def _of_case(run: Path, case: Path, trouble: str) -> str:
    """A case's own finding, its file named as seen from the run."""
    up = f"../{RUN_FILE}"
    return trouble.removeprefix("../") if trouble.startswith(up) else f"{_inside(run, case)}/{trouble}"


def _inside(run: Path, path: Path) -> str:
    return path.relative_to(run).as_posix()
