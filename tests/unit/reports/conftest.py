"""Judges a record that a test has spoiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reports.judge import conclude
from reports.verdict import CaseVerdict, Claim
from tests.unit.reports.records import Record, good_record

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
def claim_of(judged: Judge) -> ClaimOf:
    """Writes a record, judges it and returns one claim."""
    return lambda record, wanted: next(claim for claim in judged(record).claims if claim.id == wanted)
