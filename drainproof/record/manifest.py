"""The manifest: a chain of digests over the files of a case, so that a record that was changed later is known by it.

Each link covers the one before, the last is the head. Whoever keeps the head elsewhere can tell that nothing was
changed since; whoever does not can tell only that no file was changed without the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from drainproof.errors import RecordError
from drainproof.record.case import EVENTS, HISTORY, METRICS, SAMPLES, TABLES, read_json, write_json
from drainproof.record.run import RUN_FILE, RunInfo

MANIFEST: Final = "manifest.json"
VERSION: Final = 1
COVERED: Final = (f"../{RUN_FILE}", "plan.json", EVENTS, SAMPLES, METRICS, HISTORY, TABLES)
"""What is sealed, in the order of the chain, as far as it is there; paths as seen from the case."""


@dataclass(frozen=True, slots=True)
class Link:
    """One file of the chain."""

    file: str
    bytes: int
    sha256: str
    link: str


def seal(case_dir: Path) -> str:
    """Write the manifest of a complete record and return its head; a record that is sealed and intact stays as it is.

    Raises RecordError when the record was changed since it was sealed, or cannot be read.
    """
    path = case_dir / MANIFEST
    if path.exists():
        if troubles := verify(case_dir):
            raise RecordError(f"{path}: the record is sealed already and was changed since: {'; '.join(troubles)}")
    else:
        chain = list(_chain(case_dir.resolve()))
        write_json(path, {"version": VERSION, "chain": [asdict(link) for link in chain], "head": chain[-1].link})
    return str(read_json(path)["head"])


def verify(case_dir: Path) -> list[str]:
    """What differs from what was sealed, a sentence per file; nothing when the record is intact."""
    case_dir = case_dir.resolve()
    if not (case_dir / MANIFEST).exists():
        return [f"{MANIFEST} is missing: the record was never sealed"]
    try:
        sealed, head = _read(case_dir / MANIFEST)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, RecordError) as error:
        return [f"{MANIFEST} is not a manifest: {str(error).replace(f'{case_dir}/', '')}"]
    try:
        found = {link.file: link for link in _chain(case_dir)}
    except RecordError as error:
        return [str(error).replace(f"{case_dir.parent}/", "")]
    differences = [trouble for file in COVERED if (trouble := _compared(file, sealed.get(file), found.get(file)))]
    differences += [f"{MANIFEST} names {file!r}, which no record has" for file in sealed if file not in COVERED]
    if not differences and (list(sealed.values()) != list(found.values()) or head != list(found.values())[-1].link):
        differences = [f"{MANIFEST} is not the chain of this run and case: it was changed, or belongs to another"]
    return differences


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chain(case_dir: Path) -> Iterator[Link]:
    """The links of the files as they are. Raises RecordError when one cannot be read, or the run has no description."""
    link = _digest(RunInfo.read(case_dir.parent).run_id + case_dir.name)
    for file in COVERED:
        path = case_dir / file
        if not path.exists():
            continue
        try:
            digest = digest_of(path)
            size = path.stat().st_size
        except OSError as error:
            raise RecordError(f"{file}: cannot be read: {error.strerror}") from error
        link = _digest(link + file + digest)
        yield Link(file, size, digest, link)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> tuple[dict[str, Link], str]:
    content = read_json(path)
    if content["version"] != VERSION:
        raise ValueError(f"version {content['version']} is not the version {VERSION} that is known")
    links = [_link(entry) for entry in content["chain"]]
    if not links or len({link.file for link in links}) < len(links):
        raise ValueError("its chain is empty or names a file twice")
    return {link.file: link for link in links}, str(content["head"])


def _link(entry: Mapping[str, Any]) -> Link:
    return Link(str(entry["file"]), int(entry["bytes"]), str(entry["sha256"]), str(entry["link"]))


def _compared(file: str, sealed: Link | None, found: Link | None) -> str:
    if sealed is None or found is None:
        if sealed is found:
            return ""
        return f"{file} was added after the record was sealed" if sealed is None else f"{file} is missing"
    if found.bytes != sealed.bytes:
        return f"{file} was changed after the record was sealed: {found.bytes} bytes instead of {sealed.bytes}"
    if found.sha256 != sealed.sha256:
        return f"{file} was changed after the record was sealed: its sha256 begins with {found.sha256[:12]}"
    return ""
