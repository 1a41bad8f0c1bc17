"""A record as long as wanted, made as the unit tests make theirs: `python -m bench.long_record RUN_DIRECTORY ROWS`.

The stopwatch looks a thousand times a second, so that an hour makes thirty million samples. Every file is in the
record's own format, sealed, and tells one story: the checks pass, or the figures that are measured with it are void.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from drainproof.record import Outcome
from drainproof.streams import CONTROL, HEARTBEAT, TCP_KEPT, TCP_NEW, UDP

RATES = {UDP: 1000.0, HEARTBEAT: 500.0, TCP_KEPT: 200.0, TCP_NEW: 200.0, CONTROL: 500.0}
ROWS_PER_SECOND = 8530
"""Of all streams together: three machines, two vantage points, and the clients' requests."""
DRAIN = 5.0
BLACKOUTS = 30
"""So many known blackouts: of hundreds, one is measured wrong by more than a period by chance alone."""


def make(run: Path, rows: int) -> Path:
    """Write a run with one case of about so many samples; returns the case's directory.

    It bends the constants of the tests' own record, so it has a process to itself.
    """
    from tests.unit.reports import timeline

    seconds = max(60.0, rows / ROWS_PER_SECOND)
    _stretch(timeline, seconds)
    from tests.unit.reports import records, scraped, stopwatch_records

    stopwatch_records.RATES.update(RATES)
    stopwatch_records.EVERY = max(stopwatch_records.EVERY, seconds / BLACKOUTS)
    stopwatch_records.LOAD.update({f"{kind.replace('-', '_')}_rate": rate for kind, rate in RATES.items()})
    stopwatch_records.LOAD["control_every_seconds"] = stopwatch_records.EVERY
    scraped.longest_exported = _LongestGaps()
    return records.good_record().write(run)


def _stretch(timeline: Any, seconds: float) -> None:
    """Spread baseline and drains over so many seconds; must happen before others take the constants over."""
    if "tests.unit.reports.records" in sys.modules:
        raise RuntimeError("the record's constants are in use already; make it in a process of its own")
    assert isinstance(timeline, ModuleType)
    module: Any = timeline
    module.BASELINE = round(seconds / 4, 1)
    module.DRAIN = DRAIN
    module.SETTLE = round(seconds / 4 - DRAIN, 1)
    module.END = module.BASELINE + 3 * (module.DRAIN + module.SETTLE)
    module.SCRAPES[:] = [second + 0.37 for second in range(-3, int(module.END) + 1)]


class _LongestGaps:
    """What `scraped.longest_exported` tells, with each stream sorted once instead of at every scrape."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, Any, Any]] = {}

    def __call__(self, rows: list[list[int]], until: int) -> float:
        if id(rows) not in self._known:
            answers = np.sort(np.array([row[2] for row in rows if row[3] == Outcome.OK], np.int64))
            self._known[id(rows)] = (rows, answers, np.concatenate(([0], np.maximum.accumulate(np.diff(answers)))))
        _, answers, longest = self._known[id(rows)]
        seen = int(np.searchsorted(answers, until, side="right"))
        return float(max(longest[seen - 1], until - answers[seen - 1]) / 1e9)


def main() -> int:
    """Make the record and print how many bytes its case has."""
    case = make(Path(sys.argv[1]), int(sys.argv[2]))
    print(sum(path.stat().st_size for path in case.rglob("*") if path.is_file()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
