"""The run's manifest: the digests of what a run consists of, so that cases and verdicts cannot be exchanged unseen.

It covers the run's description, what the cluster offered, what was refused, each case's own manifest and each case's
verdict. The reports beside them are made from these and may be made again, and the journal may grow when a cluster is
cleaned up later; neither is covered. The same run gives the same bytes, which somebody may sign
(`drainproof.record.signature`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from drainproof.errors import RecordError
from drainproof.record import manifest
from drainproof.record.case import EVENTS, VERDICT, write_json
from drainproof.record.run import RUN_FILE, RunInfo

RUN_MANIFEST: Final = "run-manifest.json"
VERSION: Final = 1
REFUSED: Final = "refused.json"
SKIPPED: Final = "skipped.json"
DISCOVERY: Final = "discovery.json"
"""What the cluster offered when the run began."""
OF_THE_RUN: Final = (RUN_FILE, REFUSED, SKIPPED, DISCOVERY)
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


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found when a run was held against its manifest."""

    differences: tuple[str, ...] = ()
    """How the run differs from what was sealed, a sentence per file."""
    unreadable: tuple[str, ...] = ()
    """What could not be read, as when rights or a disk fail: nobody can say whether it was changed."""
    manifest: bytes | None = field(default=None, repr=False)
    """The very bytes of the run's manifest that the run was held against; None: there are none."""

    @property
    def troubles(self) -> list[str]:
        """Everything that keeps the run from being known as the one that was sealed."""
        return [*self.differences, *self.unreadable]


class _UnreadableError(RecordError):
    """A file is there and cannot be read."""


def seal_run(run: Path) -> None:
    """Write the manifest of a run whose cases have been judged; what a case lacks is left out, and seen to be missing.

    Raises RecordError when the run's description or one of the files cannot be read.
    """
    run_id = RunInfo.read(run).run_id
    entries = [asdict(_entry(run, file)) for file in _files(run)]
    write_json(run / RUN_MANIFEST, {"version": VERSION, "run_id": run_id, "files": entries})


def verify_run(run: Path) -> list[str]:
    """What differs from what was sealed, in the run and each of its cases, or cannot be read: a sentence per file."""
    return verification(run).troubles


def verification(run: Path) -> Verification:
    """Hold a run and each of its cases against its manifest, which is read once."""
    run = run.resolve()
    unreadable: list[str] = []
    foreign = [
        f"{_inside(run, path)} is no plain file: a record holds its own files" for path in _foreign(run, unreadable)
    ]
    if foreign or unreadable:
        return Verification(tuple(foreign), tuple(unreadable))
    own = _own_verification(run)
    differences, unreadable = list(own.differences), list(own.unreadable)
    # Each case is chained to the run's description: where that is missing, it is told once, and not by each case.
    described = f"{RUN_FILE} is missing" not in differences
    for case in case_directories(run) if described else ():
        # A case's manifest that is not the one that was sealed tells nothing about the other files.
        if any(one.startswith(f"{case.name}/{manifest.MANIFEST} ") for one in own.troubles):
            continue
        trouble = _unread(run, case)
        unreadable += trouble
        differences += [] if trouble else [_of_case(run, case, found) for found in manifest.verify(case)]
    return Verification(tuple(dict.fromkeys(differences)), tuple(dict.fromkeys(unreadable)), own.manifest)


def own_differences(run: Path) -> list[str]:
    """What differs from the run's manifest itself or cannot be read; the evidence of the cases is not looked at.

    Of a run that was never sealed it is `NOT_SEALED` alone.
    """
    return _own_verification(run.resolve()).troubles


def _own_verification(run: Path) -> Verification:
    path = run / RUN_MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Verification((NOT_SEALED,))
    except OSError as error:
        return Verification(unreadable=(f"{RUN_MANIFEST}: cannot be read: {error.strerror}",))
    try:
        run_id, sealed = _parsed(path, content)
        found = {file: _entry(run, file) for file in _files(run)}
    except _UnreadableError as error:
        return Verification(unreadable=(str(error),), manifest=content)
    except RecordError as error:
        return Verification((str(error).replace(f"{run}/", ""),), manifest=content)
    compared = (_compared(file, sealed.get(file), found.get(file)) for file in sorted({*sealed, *found}))
    differences = [trouble for trouble in compared if trouble]
    # A description that cannot be read is not the one that was sealed, and told above, or was never one.
    with suppress(RecordError, RecursionError):
        if str(mine := RunInfo.read(run).run_id) != run_id:
            differences.append(f"{RUN_MANIFEST} belongs to the run {run_id!r}, not to {mine!r}")
    return Verification(tuple(differences), manifest=content)


def read_run_manifest(run: Path) -> tuple[str, Mapping[str, Entry]]:
    """The run's id and its entries by file; raises RecordError when it is missing or no manifest of this version."""
    path = run / RUN_MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    return _parsed(path, content)


def _parsed(path: Path, read: bytes) -> tuple[str, Mapping[str, Entry]]:
    try:
        content = json.loads(read)
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
        raise _UnreadableError(f"{file}: cannot be read: {error.strerror}") from error


def _unread(run: Path, case: Path) -> list[str]:
    """Which of a case's sealed files are there and cannot be read."""
    found = []
    for name in (manifest.MANIFEST, *manifest.COVERED):
        path = case / name
        try:
            if path.exists():
                with path.open("rb") as file:
                    file.read(1)
        except OSError as error:
            found.append(f"{_inside(run, path.resolve())}: cannot be read: {error.strerror}")
    return found


def _read_entry(entry: Mapping[str, Any]) -> Entry:
    return Entry(str(entry["file"]), int(entry["bytes"]), str(entry["sha256"]))


def _foreign(run: Path, unreadable: list[str]) -> Iterator[Path]:
    """What leads out of the run, or could not be read to an end: symbolic links, pipes, devices.

    Directories that cannot be listed are added to what is unreadable.
    """

    def told(error: OSError) -> None:
        unreadable.append(f"{_inside(run, Path(error.filename))}: cannot be read: {error.strerror}")

    for directory, folders, files in os.walk(run, onerror=told):
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
