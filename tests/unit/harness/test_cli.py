"""The command: a mistake is one sentence with its remedy and exit code 3."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


def _drainproof(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drainproof", *arguments]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("certify", "--tagret", "lab"), "No such option '--tagret'"),
        (("certfy",), "No such command 'certfy'"),
        (("certify", "--profile", "quik"), "There is no profile 'quik'; choose one of"),
        (("certify", "--tests-from", "/dev/null"), "There is no test in /dev/null; none of those that were asked for"),
        (("certify", "galerra"), "galerra; name a folder, file or test of the suites."),
        (("certify", "--target", "moon"), "There is no target 'moon'; use lab"),
        (("certify", "--storage-class", "lab-tape"), "choose one of lab-shared, lab-nfs, lab-iscsi, lab-ceph"),
        (("certify", "--target-facts", "nowhere.toml"), "'nowhere.toml' does not exist"),
        (("rejudge", "nowhere"), "nowhere: holds neither a run"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_3(arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    """No traceback, nothing written, the remedy named."""
    done = _drainproof(*arguments, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_tests_from_a_file_take_the_place_of_others(tmp_path: Path) -> None:
    """Each line one of them, as an argument would name it."""
    (tmp_path / "tests").write_text("storage/test_moved.py::test_one\nfoundry/test_a.py::test_b[c d]\n")
    done = _drainproof("certify", "galerra", "--tests-from", "tests", cwd=tmp_path)
    assert done.returncode == 3
    assert "suites/foundry/test_a.py::test_b[c d]; name a folder" in done.stderr
    assert "galerra" not in done.stderr


@pytest.mark.parametrize("command", ["gate", "rejudge", "show", "compare", "trend"])
def test_a_command_without_its_arguments_is_no_success(command: str, tmp_path: Path) -> None:
    """A script whose variable is empty asks for nothing: nothing was decided, and 0 would say GO."""
    done = _drainproof(command, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "Missing" in done.stderr


def test_hostile_words_do_not_steer_the_terminal(tmp_path: Path) -> None:
    """What was asked for is told as it stands, but for what is not printable."""
    done = _drainproof("certify", "--profile", "qu\x1b[2Jik", cwd=tmp_path)
    assert done.returncode == 3
    assert "\x1b" not in done.stderr


def test_an_unusable_kubeconfig_is_told(tmp_path: Path) -> None:
    """A cluster that cannot be reached is could-not-run, not fail."""
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\n")
    command = [sys.executable, "-m", "drainproof", "certify", "--target", "kubeconfig"]
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "KUBECONFIG": str(tmp_path / "config")}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "cannot be used" in done.stderr
