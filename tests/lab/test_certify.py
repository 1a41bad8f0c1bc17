"""The command as a newcomer uses it: it certifies, its record can be judged again, and killing it leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from drainproof.clock import SystemClock
from drainproof.record import Run
from drainproof.wait import Deadline, wait
from fixtures.target import PROJECT
from lab import processes
from lab.lifecycle import leftovers

LAB = "whole"
pytestmark = pytest.mark.timeout(900)


def _drainproof(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "drainproof", *arguments]


def _call(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        _drainproof(*arguments), cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def _only_case(runs: Path) -> Path:
    (run,) = runs.iterdir()
    (case,) = Run(run).cases()
    return case


def test_certify_passes_and_anyone_can_judge_its_record_again(tmp_path: Path) -> None:
    """Exit code 0, a report, and from a copy of the record alone the same verdict, byte for byte."""
    profile = str(Path(__file__).with_name("slow_machine.toml"))
    done = _call("certify", "--target", f"lab:{LAB}", "--profile", profile, "--runs", str(tmp_path / "runs"))
    assert done.returncode == 0, done.stdout + done.stderr
    case = _only_case(tmp_path / "runs")
    assert "report.html" in done.stdout
    assert (case.parent / "report.html").stat().st_size > 10_000
    copy = tmp_path / "elsewhere" / case.parent.name
    shutil.copytree(case.parent, copy)
    verdict = (copy / case.name / "verdict.json").read_bytes()
    (copy / case.name / "verdict.json").unlink()
    subprocess.run([sys.executable, "-m", "reports.rejudge", str(copy), "--write"], cwd=PROJECT, check=True)
    assert (copy / case.name / "verdict.json").read_bytes() == verdict
    assert _call("rejudge", str(copy)).returncode == 0
    assert not leftovers.find(LAB)


def test_a_run_killed_in_the_middle_is_cleaned_up(tmp_path: Path) -> None:
    """After kill -9 of the harness with guests and observers running, cleanup leaves no trace of any of them."""
    runs = tmp_path / "runs"
    command = _drainproof("certify", "--target", f"lab:{LAB}", "--runs", str(runs))
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as certify:
        _wait_for_observers(runs)
        family = [child.pid for child in psutil.Process(certify.pid).children() if "pytest" in child.cmdline()]
        for pid in (certify.pid, *family):
            os.kill(pid, signal.SIGKILL)
    run_id = next(runs.iterdir()).name
    assert processes.marked(LAB), "the lab should have outlived its harness"
    SystemClock().sleep(1)
    done = _call("cleanup", "--runs", str(runs), "--lab", LAB)
    assert done.returncode == 0, done.stderr
    assert not leftovers.find(LAB)
    assert not processes.marked(run_id, "DRAINPROOF_RUN")
    again = _call("cleanup", "--runs", str(runs), "--lab", LAB)
    assert again.returncode == 0, again.stderr


def _wait_for_observers(runs: Path) -> None:
    def launched() -> bool:
        return any('"launched", "object": "clinic"' in log.read_text() for log in runs.glob("*/*/events.jsonl"))

    wait("the observers run", launched, until=bool, deadline=Deadline(180), every=1.0)
