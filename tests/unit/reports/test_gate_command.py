"""The gate as a command: whatever happens around it, its exit code is an answer, or says that there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reports.gate.__main__ import main
from tests.unit.reports.gate_runs import NOW, POLICY, ask, reasons, write_policy, write_run

PROJECT = Path(__file__).resolve().parents[3]
ONE = POLICY.replace("repetitions = 2", "repetitions = 1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good run and a policy that it meets; nobody changes them."""
    folder = tmp_path_factory.mktemp("command")
    write_run(folder / "runs" / "run-a")
    write_policy(folder, ONE)
    return folder


@pytest.mark.parametrize(("arguments", "code"), [(("runs", "--policy", "policy.toml"), 0), (("--colour",), 3)])
def test_who_reads_along_may_stop(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    """A pipe that nobody reads, as behind `| head`, makes no NO-GO of a GO."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "reports.gate", *arguments, *(("--now", NOW) if code == 0 else ())]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == code


def test_what_cannot_be_asked_is_told_with_a_remedy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 and a sentence that says what to do."""
    policy, runs = str(folder / "policy.toml"), str(folder / "runs")
    asked = {
        (): "Missing option '--policy'. See `drainproof gate --help`.",
        ("--policy", policy): "No run was named; name the directories of runs, or of a campaign.",
        (runs, "--policy", "/nowhere.toml"): "/nowhere.toml cannot be read: No such file or directory; name another",
        (runs, "--policy", policy, "--json", "/nowhere/a"): "cannot be written to /nowhere/a: No such file",
        ("/nowhere", "--policy", policy): "is neither a run (run.json) nor a directory of runs",
    }
    for arguments, sentence in asked.items():
        assert main(arguments) == 3
        told = capsys.readouterr()
        assert sentence in told.err
        assert (told.out, "Errno" in told.err) == ("", False)


def test_a_directory_that_cannot_be_entered_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its name, and not by a number."""

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "runs/run-a/run.json")

    monkeypatch.setattr("reports.gate.command.decide", refused)
    assert main([str(folder / "runs"), "--policy", str(folder / "policy.toml")]) == 3
    assert "could not run: runs/run-a/run.json cannot be had: Permission denied; see to" in capsys.readouterr().err


def test_a_description_that_is_gone_is_told_once(folder: Path, tmp_path: Path) -> None:
    """Not by each case as well, and not as one that could not be read."""
    run = write_run(tmp_path / "runs" / "run-b")
    (run / "run.json").unlink()
    code, answer = ask(tmp_path, policy=ONE)
    assert (code, reasons(answer, "NO-GO")) == (
        1, [f"run run-b in {run}: the record as it was sealed: run.json is missing"],
    )
    assert not any("can be read" in reason for reason in reasons(answer))
