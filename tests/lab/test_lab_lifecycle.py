"""The lab's start and end: quick, repeatable, and clean whatever was killed, whenever."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import processes
from lab.lifecycle import leftovers, lock
from lab.net import topology

NAME = "lifecycle"
PORT = 16790
PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.lab


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lab", *arguments, "--name", NAME]


def lab(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False)


def up() -> subprocess.CompletedProcess[str]:
    return lab("up", "--nodes", "2", "--api-port", str(PORT))


def let_run(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Leave the process to its work for that long, or until it ends by itself."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def traces() -> list[str]:
    """Whatever of the lab is on this machine, looked for by other means than the lab's own."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    places = [Path("/run/drainproof"), Path("/var/lib/drainproof"), Path("/run/netns")]
    files = [str(path) for place in places if place.is_dir() for path in place.iterdir()]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return [
        *(entry for entry in (*mounts, *files) if NAME in entry),
        *(str(pid) for pid in processes.marked(NAME)),
        *(line for line in links.splitlines() if "to-node" in line),
    ]


@pytest.fixture(autouse=True)
def no_traces() -> Iterator[None]:
    """Each test begins and ends with nothing of this lab on the machine."""
    lab("cleanup")
    yield
    lab("cleanup")
    assert traces() == []


@pytest.fixture(scope="session", autouse=True)
def guest_image() -> None:
    """Have the guest image built, so that the kills hit the start of the lab."""
    done = up()
    assert done.returncode == 0, done.stderr
    lab("down")


def test_up_is_idempotent_and_down_leaves_nothing() -> None:
    """A second up finds the lab running, and down removes every trace of it."""
    first, second = up(), up()
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert "is up already" in second.stderr
    found = json.loads(lab("status", "--json").stdout)
    assert found["api"] is found["prometheus"] is True
    assert found["nodes_ready"] == ["node-a", "node-b"]
    assert lab("down").returncode == 0
    assert traces() == []


@pytest.mark.parametrize("seconds", [0.3, 0.5, 0.7, 0.9, 1.2, 1.6, 2.2])
def test_killed_start_is_cleaned_up(seconds: float) -> None:
    """An up that is killed without warning at any moment is removed by cleanup."""
    process = subprocess.Popen(
        command("up", "--nodes", "2", "--api-port", str(PORT)), cwd=PROJECT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    let_run(process, seconds)
    process.kill()
    process.wait()
    assert lab("cleanup").returncode == 0
    assert traces() == []


@pytest.mark.parametrize("seconds", [0.5, 0.7, 0.9, 1.5])
def test_interrupted_start_takes_itself_down(seconds: float) -> None:
    """SIGTERM during up ends it with nothing left."""
    process = subprocess.Popen(
        command("up", "--nodes", "2", "--api-port", str(PORT)), cwd=PROJECT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    let_run(process, seconds)
    process.send_signal(signal.SIGTERM)
    try:
        # Before up has taken charge of the signal, Python itself ends; once its work is done, the lab is up.
        assert process.wait(timeout=30) in (0, 3, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        assert [entry for entry in traces() if not entry.endswith(".lock")] == []


def test_interruption_comes_too_late_for_a_lab_that_is_up() -> None:
    """SIGTERM after the last step neither fails the command nor ends the lab."""
    with subprocess.Popen(
        command("up", "--nodes", "2", "--api-port", str(PORT)), cwd=PROJECT, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stderr is not None
        assert any("is up, after" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 0
    assert json.loads(lab("status", "--json").stdout)["missing"] == []


@pytest.mark.parametrize("victim", ["lab.api", "lab.controllers", "--node node-b", "dnsmasq", "prometheus"])
def test_next_up_replaces_a_lab_that_lost_a_process(victim: str) -> None:
    """After kill -9 of any process the next up starts a whole lab again."""
    assert up().returncode == 0
    for pid in processes.marked(NAME):
        if victim in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode():
            os.kill(pid, signal.SIGKILL)
    done = up()
    assert done.returncode == 0, done.stderr
    assert "removing what an earlier lab" in done.stderr
    assert json.loads(lab("status", "--json").stdout)["missing"] == []


def test_half_made_namespace_is_removed() -> None:
    """A namespace's name without a namespace, as kill -9 can leave it, does not disturb the next start."""
    path = Path("/run/netns") / f"{topology.prefix(NAME)}fabric"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    assert NAME in leftovers.names()
    assert up().returncode == 0


def test_busy_lab_is_refused() -> None:
    """While another command works on the lab, up refuses in one sentence with exit code 3."""
    with lock.exclusive(NAME):
        done = up()
    assert done.returncode == 3
    assert "Another command is starting or stopping lab" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("up", "--nodse", "2"), "No such option"),
        (("up", "--nodes", "0"), "0 is not in the range"),
        (("status",), "There is no lab"),
    ],
)
def test_refusals_have_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    """A wrong option or an absent lab is one sentence on stderr and exit code 3."""
    done = lab(*arguments)
    assert done.returncode == 3
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
