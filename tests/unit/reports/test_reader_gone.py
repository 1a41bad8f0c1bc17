"""`drainproof compare … | head`: whoever stops reading changes no answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.reports.compared import write_groups
from tests.unit.reports.test_compare import TURNS, normal
from tests.unit.reports.trend_runs import Night, write_nights

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs of two storage classes, and nights none worse than another."""
    write_groups(tmp_path / "groups", TURNS, normal(0.5), axes=("downtime", "recovery"))
    write_nights(tmp_path / "nights", [Night() for _ in range(8)])
    return tmp_path


@pytest.mark.parametrize(("arguments", "code"), [
    (("reports.compare", "groups", "--out", "out"), 0),
    (("reports.trend", "nights"), 0),
])
def test_a_reader_who_has_gone_changes_no_code(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, b"")
