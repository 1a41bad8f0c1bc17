"""The cases that a run was asked for and that did not begin: not judged, and not certified either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drainproof.errors import RecordError
from drainproof.record.case import read_json
from drainproof.record.run_manifest import SKIPPED


@dataclass(frozen=True, slots=True)
class Skipped:
    """One of them."""

    case: str
    reason: str


def skipped(run: Path) -> tuple[Skipped, ...]:
    """The cases that were skipped, with what the target lacks; none in older records, which do not tell.

    Raises RecordError when the file is damaged.
    """
    path = run / SKIPPED
    if not path.exists():
        return ()
    try:
        return tuple(Skipped(str(one["case"]), str(one["reason"])) for one in read_json(path)["cases"])
    except (LookupError, TypeError) as error:
        raise RecordError(f"{path}: is not a list of cases that were skipped: {error}") from error
