"""Judging stored files: an altered record certifies nothing, an intact one gives the same verdict everywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drainproof.record.manifest import MANIFEST
from reports.judge import conclude
from reports.rejudge import main as rejudge
from reports.verdict import Verdict
from tests.unit.reports.records import Record

PROJECT = Path(__file__).resolve().parents[3]


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


ALTERATIONS: list[tuple[Callable[[Path], object], str]] = [
    (lambda case: (case / MANIFEST).unlink(), "manifest.json is missing: the record was never sealed"),
    (lambda case: (case / "plan.json").write_text("{}"), "plan.json was added after the record was sealed"),
    (lambda case: _append(case / "metrics.json"), "metrics.json was changed after the record was"),
    (lambda case: _append(case / "../run.json"), "../run.json was changed after the record was"),
]


@pytest.mark.parametrize(("alter", "told"), ALTERATIONS)
def test_an_altered_record_proves_nothing(
    record: Record, tmp_path: Path, alter: Callable[[Path], object], told: str
) -> None:
    """The other claims are still judged, but the whole is unknown, with the file that differs."""
    case = record.write(tmp_path / "run-1")
    before = {claim.id: claim for claim in conclude(case).claims}
    assert before.pop("record.intact").verdict is Verdict.PASS
    alter(case)
    verdict = conclude(case)
    after = {claim.id: claim for claim in verdict.claims}
    intact = after.pop("record.intact")
    assert (after, intact.verdict) == (before, Verdict.UNKNOWN)
    assert intact.reason.startswith(told)
    assert verdict.verdict is Verdict.UNKNOWN
    assert rejudge([str(case)]) == 2


def test_judging_seals_nothing(record: Record, tmp_path: Path) -> None:
    """A judge never makes the manifest that would acquit the record."""
    case = record.write(tmp_path / "run-1")
    (case / MANIFEST).unlink()
    assert rejudge([str(case), "--write"]) == 2
    assert not (case / MANIFEST).exists()


def _damage_samples(case: Path) -> None:
    content = bytearray((case / "samples.parquet").read_bytes())
    content[len(content) // 3] ^= 1
    (case / "samples.parquet").write_bytes(content)


def _lose_half(case: Path) -> None:
    for name in ("metrics.json", MANIFEST):
        (case / name).unlink()
    for name in ("samples.parquet", "tables.parquet"):
        (case / name).write_bytes((case / name).read_bytes()[:-40])


@pytest.mark.parametrize("damage", [lambda _: None, _damage_samples, _lose_half])
def test_the_verdict_is_the_same_on_another_machine(
    record: Record, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Other directory, path, locale, time zone, hash seed and number of threads: the same bytes of verdict.json."""
    here = record.write(tmp_path / "run-1")
    damage(here)
    there = shutil.copytree(here.parent, tmp_path / "far" / "away" / "run") / here.name
    assert rejudge([str(here), "--write"]) in (0, 2)
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "PYTHONHASHSEED": "77", "LC_ALL": "C",
        "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system",
        "NPY_DISABLE_CPU_FEATURES": _optional_features(),
    }
    command = [sys.executable, "-m", "reports.rejudge", there.name, "--write"]
    done = subprocess.run(command, cwd=there.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    verdict = (here / "verdict.json").read_bytes()
    assert (there / "verdict.json").read_bytes() == verdict
    assert str(tmp_path) not in json.dumps(json.loads(verdict))


def _optional_features() -> str:
    """Those vector instructions of this machine that another may lack."""
    return " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
