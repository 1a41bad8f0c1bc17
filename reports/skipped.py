"""The cases that a run was asked for and that did not begin: not judged, and not certified either."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drainproof.errors import RecordError
from drainproof.record.case import read_json
from drainproof.record.run_manifest import SKIPPED


@dataclass(frozen=True, slots=True)
class Skipped:
    """One of them."""

    case: str
    reason: str
    test: str = ""
    """FILE::NAME as pytest names it; empty when the record does not tell."""


def skipped(run: Path) -> tuple[Skipped, ...]:
    """The cases that were skipped, with what the target lacks; none in older records, which do not tell.

    Raises RecordError when the file is damaged.
    """
    path = run / SKIPPED
    if not path.exists():
        return ()
    try:
        return tuple(_read(one) for one in read_json(path)["cases"])
    except (LookupError, TypeError) as error:
        raise RecordError(f"{path}: is not a list of cases that were skipped: {error}") from error


def _read(entry: Mapping[str, Any]) -> Skipped:
    return Skipped(str(entry["case"]), str(entry["reason"]), str(entry.get("test", "")))
