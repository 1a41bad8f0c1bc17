"""What the record of a run comes to, for a run whose certification ended unseen: without evidence, by its verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from drainproof.errors import RecordError
from drainproof.record.case import VERDICT, read_json
from drainproof.record.run_manifest import REFUSED, RUN_MANIFEST, case_directories

PASS, FAIL, UNKNOWN, COULD_NOT_RUN = 0, 1, 2, 3
CODES: Final = {"pass": PASS, "fail": FAIL, "unknown": UNKNOWN}


def stored_code(run: Path) -> int | None:
    """The exit code of the certification that made a run; None when it did not finish the run, or nobody can tell.

    Who finishes a run seals it, and leaves the reason in refused.json when not all of it was done.
    """
    if not (run / RUN_MANIFEST).exists():
        return None
    try:
        codes = {_code(case) for case in case_directories(run)}
    except (RecordError, OSError, LookupError, TypeError):
        return None
    if FAIL in codes:
        return FAIL
    if (run / REFUSED).exists() or not codes:
        return COULD_NOT_RUN
    return max(codes)


def _code(case: Path) -> int:
    return CODES[read_json(case / VERDICT)["verdict"]] if (case / VERDICT).exists() else UNKNOWN
