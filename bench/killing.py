"""Kills certifications at random moments and has them cleaned up as from another machine: is the cluster as it was?

`python -m bench.killing --times 5 --seed 1`, as root: on a lab that stays up, and that the harness takes for a cluster
of somebody's. The whole process group of a certification is killed with SIGKILL. `drainproof cleanup`, which knows
nothing of its directory, is killed too, every second time, and called again. Compared is all that can be listed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bench.picture import differences, picture
from drainproof.api import Cluster
from drainproof.cleanup import NOTHING
from drainproof.settings import load_profile
from drainproof.target import Target
from fixtures.target import PROJECT, opened
from lab import processes

PROFILE = Path(__file__).with_name("killing.toml")
TEST = "high_availability/test_drain.py::test_drain_of_every_node"
SAID = "said.log"
CLEANUP_SECONDS = 300.0
SETTLE_SECONDS = 60.0
"""So long may controllers take to follow: taints of a cordon, volumes of claims."""
HEADER = f"{'kill':>4} {'after':>7} {'phase':<14} {'cleanup':>8} {'killed too':>10}  the cluster afterwards"


@dataclass(frozen=True)
class Ground:
    """Where runs are killed: a cluster, and the files that a certification and a cleanup are told."""

    cluster: Cluster
    kubeconfig: str
    facts: Path
    profile: Path

    def call(self, *arguments: str, cwd: Path) -> subprocess.Popen[str]:
        """Start the command in a session of its own; what it says goes into a file, which no pipe of a dead run blocks.
        """
        environment = {**os.environ, "PYTHONPATH": str(PROJECT), "KUBECONFIG": self.kubeconfig}
        target = ("--target", "kubeconfig", "--target-facts", str(self.facts))
        with (cwd / SAID).open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "drainproof", *arguments, *target], cwd=cwd, env=environment, text=True,
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True,
            )


@dataclass(frozen=True)
class Kill:
    """One killed certification, and what became of it."""

    after: float
    phase: str
    cleanup_seconds: float
    cleanup_killed: bool
    trouble: tuple[str, ...]
    """What is not as it was, or was not done as it has to be; empty: all is well."""

    def row(self, number: int) -> str:
        told = "; ".join(self.trouble) or "as it was"
        killed = "yes" if self.cleanup_killed else "no"
        return f"{number:>4} {self.after:>5.1f} s {self.phase:<14} {self.cleanup_seconds:>6.1f} s {killed:>10}  {told}"


@contextmanager
def ground(lab: str, api_port: int, profile: Path) -> Iterator[Ground]:
    """A lab for the length of a block, told as an ordinary cluster."""
    settings = load_profile(str(profile), Path())
    with (
        tempfile.TemporaryDirectory(prefix="drainproof-killing-") as place,
        opened(f"lab:{lab}", None, settings, lambda _: None, api_port) as target,
    ):
        facts = Path(place) / "facts.toml"
        facts.write_text(_as_facts(target), encoding="utf-8")
        yield Ground(Cluster.connect(Path(target.kubeconfig)), target.kubeconfig, facts, profile)


def kill_one(on: Ground, test: str, after: float, cleanup_after: float | None, lease: float) -> Kill:
    """Kill a certification `after` so many seconds, clean it up and compare; `cleanup_after`: kill that first as well.
    """
    before = picture(on.cluster)
    with tempfile.TemporaryDirectory() as place:
        runs, elsewhere = Path(place) / "runs", Path(place) / "elsewhere"
        elsewhere.mkdir()
        certify = on.call("certify", test, "--profile", str(on.profile), "--runs", str(runs), cwd=Path(place))
        _kill(certify, after)
        phase, ids = _phase(runs), [path.name for path in runs.iterdir()] if runs.is_dir() else []
        time.sleep(lease + 2)
        if cleanup_after is not None:
            _kill(on.call("cleanup", "--runs", "runs", cwd=elsewhere), cleanup_after)
        begun = time.monotonic()
        trouble = _cleaned(on, elsewhere)
        seconds = time.monotonic() - begun
    trouble += [f"observer of {one} left" for one in ids if processes.marked(one, "DRAINPROOF_RUN")]
    trouble += _compared(on.cluster, before)
    return Kill(after, phase, seconds, cleanup_after is not None, tuple(trouble))


def _kill(process: subprocess.Popen[str], after: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=after)
        return
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cleaned(on: Ground, elsewhere: Path) -> list[str]:
    """What was wrong with the cleanup, and with a second one, which has to find nothing."""
    trouble = []
    for wanted in ("", NOTHING):
        process = on.call("cleanup", "--runs", "runs", cwd=elsewhere)
        process.wait(timeout=CLEANUP_SECONDS)
        said = (elsewhere / SAID).read_text(encoding="utf-8", errors="replace")
        if process.returncode or wanted not in said:
            trouble.append(f"cleanup ended with {process.returncode}: {' / '.join(said.strip().splitlines())}")
    return trouble


def _compared(cluster: Cluster, before: Mapping[str, Any]) -> list[str]:
    deadline = time.monotonic() + SETTLE_SECONDS
    while (found := differences(before, picture(cluster))) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _phase(runs: Path) -> str:
    """What the certification was doing, by the last phase that it told."""
    told = "not begun"
    for events in runs.glob("*/*/events.jsonl"):
        for line in events.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                if event["kind"] == "phase":
                    told = str(event["data"]["phase"])
    return told


def _as_facts(target: Target) -> str:
    """A target as a TOML file: JSON's texts, numbers and lists are TOML's too."""
    content = target.model_dump(mode="json", exclude_defaults=True, exclude={"is_lab", "throwaway"})
    return "".join(f"{key} = {_toml(value)}\n" for key, value in content.items())


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@click.command()
@click.option("--times", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seed", default=1, show_default=True, help="draws the moments")
@click.option("--test", default=TEST, show_default=True)
@click.option("--first", default=3.0, show_default=True, help="seconds: no kill is sooner")
@click.option("--last", default=150.0, show_default=True, help="seconds: no kill is later")
@click.option("--lab", default="killing", show_default=True)
@click.option("--api-port", default=16790, show_default=True)
@click.option("--profile", type=click.Path(path_type=Path), default=PROFILE)
def main(
    times: int, seed: int, test: str, first: float, last: float, lab: str, api_port: int, profile: Path
) -> None:
    """Print a row for each kill; exit code 1 when a cluster was not as it had been."""
    chance, lease = random.Random(seed), load_profile(str(profile), Path()).budgets.lease
    good = True
    print(HEADER, flush=True)
    with ground(lab, api_port, profile) as on:
        for number in range(1, times + 1):
            after, cleanup_after = chance.uniform(first, last), chance.uniform(3, 15)
            done = kill_one(on, test, after, cleanup_after if number % 2 == 0 else None, lease)
            good = good and not done.trouble
            print(done.row(number), flush=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
