"""Judges a record that a test has spoiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from reports.checks import CHECKS
from reports.evidence import Evidence
from reports.judge import conclude
from reports.verdict import CaseVerdict, Claim, guarded
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.stopwatch_records import Watched

WATCHED = ("outage.", "instrument.", "downtime.", "prometheus.", "service.")
Judge = Callable[[Record], CaseVerdict]
ClaimOf = Callable[[Record, str], Claim]


@pytest.fixture
def record() -> Record:
    """A good record, to be spoiled."""
    return good_record()


@pytest.fixture
def judged(tmp_path: Path) -> Judge:
    """Writes a record and judges it."""
    return lambda record: conclude(record.write(tmp_path / "run-1"))


@pytest.fixture
def claim_of(tmp_path: Path) -> ClaimOf:
    """Writes a record and judges one claim of it, as `conclude` judges them all."""

    number = count(1)

    def claim(record: Record, wanted: str) -> Claim:
        if not wanted.startswith(WATCHED):
            record.watched = Watched()  # half of the work, and no other claim looks at it
        case = record.write(tmp_path / f"run-{next(number)}")
        check = next(check for check in CHECKS if check.id == wanted)
        return guarded(check.id, check.title, partial(check.judge, Evidence.of(case)))

    return claim
