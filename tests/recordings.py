"""Where the exchanges lie that were recorded from a real cluster: beside the project, or where a variable says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "DRAINPROOF_RECORDINGS"
BESIDE = Path(__file__).resolve().parents[2] / "shared" / "recordings"
"""Where the recordings lie unless the variable names another directory."""


def directory() -> Path | None:
    """The directory of the recordings; None where they are not at hand."""
    found = Path(os.environ.get(VARIABLE) or BESIDE)
    return found if found.is_dir() else None


def recordings() -> Path:
    """The directory of the recordings; skips the test where there is none."""
    found = directory()
    if found is None:
        pytest.skip(f"the recordings of a real cluster are not at hand; {VARIABLE} can name their directory")
    return found
