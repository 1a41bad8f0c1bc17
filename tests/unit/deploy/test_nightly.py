"""The night's script with a stand-in for `drainproof`: which exit code of which step becomes the answer."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.deploy.pipelines import DEPLOY

STANDIN = """#!/bin/sh
echo "$@" >>"$PLACE/asked"
code=$(cat "$PLACE/$1" 2>/dev/null || echo 0)
for word; do
    [ "$before" != --admitted ] || [ ! -e "$PLACE/admits" ] || cp "$PLACE/admits" "$word"
    before=$word
done
if [ "$code" = wait ]; then
    trap 'echo healed >>"$PLACE/asked"; kill $!; exit 130' TERM
    sleep 60 & touch "$PLACE/running"; wait
fi
exit "$code"
"""


@dataclass(frozen=True)
class Night:
    place: Path

    def codes(self, **codes: object) -> None:
        for command, code in codes.items():
            (self.place / command).write_text(str(code))

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        path = f"{self.place}{os.pathsep}{os.environ['PATH']}"
        environment = {
            **os.environ, "PATH": path, "PLACE": str(self.place), "DRAINPROOF_RECORDS": str(self.place / "records"),
            "DRAINPROOF_SETTINGS": "/settings",
        }
        return subprocess.Popen([DEPLOY / "nightly.sh", *arguments], env=environment)

    def run(self, *arguments: str) -> int:
        return self.start(*arguments).wait(timeout=30)

    @property
    def asked(self) -> list[str]:
        return [line.split()[0] for line in (self.place / "asked").read_text().splitlines()]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    (tmp_path / "drainproof").write_text(STANDIN)
    (tmp_path / "drainproof").chmod(0o755)
    run = tmp_path / "records" / "runs" / "one"
    run.mkdir(parents=True)
    (run / "drainproof.prom").write_text("drainproof_run_verdict 0\n")
    return Night(tmp_path)


@pytest.mark.parametrize(
    ("certify", "gate", "answer"), [(0, 0, 0), (0, 2, 2), (1, 1, 1), (1, 0, 0), (2, 2, 2), (0, 3, 3)]
)
def test_the_gate_answers_for_what_was_recorded(certify: int, gate: int, answer: int, night: Night) -> None:
    """A verdict of its own the night has not: the record is judged again."""
    night.codes(certify=certify, gate=gate)
    assert night.run() == answer
    assert night.asked == ["cleanup", "preflight", "certify", "gate"]
    assert (night.place / "records" / "textfile" / "drainproof.prom").read_text() == "drainproof_run_verdict 0\n"


@pytest.mark.parametrize("code", [3, 130])
def test_a_run_that_was_not_made_is_not_covered_by_older_ones(code: int, night: Night) -> None:
    """The gate, which would find good nights of before, is not asked."""
    night.codes(certify=code, gate=0)
    assert night.run() == code
    assert night.asked[-1] == "certify"


@pytest.mark.parametrize("step", ["cleanup", "preflight"])
def test_nothing_is_disturbed_on_a_cluster_that_is_not_fit(step: str, night: Night) -> None:
    """What an earlier night has left, or what is missing, ends this one before it begins."""
    night.codes(**{step: 3})
    assert night.run() == 3
    assert night.asked[-1] == step


@pytest.mark.parametrize(("gate", "answer"), [(0, 3), (2, 3), (1, 1), (3, 3)])
def test_what_can_run_does(gate: int, answer: int, night: Night, capfd: pytest.CaptureFixture[str]) -> None:
    """The rest is left out and told: the night is no GO, and a refuted claim stays one."""
    (night.place / "admits").write_text("galera/test_planned.py::test_one\n")
    night.codes(preflight=3, gate=gate)
    assert night.run(".", "-n", "2") == answer
    assert night.asked == ["cleanup", "preflight", "certify", "gate"]
    lines = (night.place / "asked").read_text().splitlines()
    assert lines[2].endswith(f" . -n 2 --tests-from {night.place}/records/admitted")
    told = capfd.readouterr().err
    assert "not all that was asked for can run" in told
    assert (f"the gate's own answer was {gate}" in told) == (gate != 1)


def test_what_was_admitted_another_night_is_not_taken(night: Night) -> None:
    (night.place / "records" / "admitted").write_text("galera\n")
    night.codes(preflight=3)
    assert night.run() == 3
    assert night.asked[-1] == "preflight"


def test_an_evicted_pod_heals_before_it_goes(night: Night) -> None:
    """SIGTERM reaches the certification, and the script waits until that has undone what it did."""
    night.codes(certify="wait")
    process = night.start()
    while not (night.place / "running").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 130
    assert night.asked[-2:] == ["certify", "healed"]


def test_other_tests_can_be_asked_for(night: Night) -> None:
    """Preflight and certification are given the same ones."""
    night.run("galera")
    lines = (night.place / "asked").read_text().splitlines()
    assert [line.endswith(" galera") for line in lines] == [False, True, True, False]
