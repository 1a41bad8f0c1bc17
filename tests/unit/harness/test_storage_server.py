"""Disturbing a storage server by a user's commands, against a program of the test's own; it never stays paused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drainproof.errors import CannotRunError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.target import StorageServerFacts, Target, target_from
from drainproof.wait import Deadline
from scenarios.storage_server import PROJECT, FailOver, PauseStorage, StorageServer, StorageServerError
from tests.unit.harness.fakes import FakeClock

PROGRAM = """#!/bin/sh
echo "$@" >>{folder}/asked
cd {folder}
case "$2" in
  status) echo "server $1 is $(cat state), pid $(cat pid)" ;;
  pause) [ -e stubborn ] || echo paused >state ;;
  resume) echo running >state ;;
  failover) [ -e stubborn ] || echo 77 >pid ;;
  *) echo "cannot do that to $1" >&2; exit 3 ;;
esac
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A storage server of sorts: its state in a file."""
    path = tmp_path / "server"
    path.write_text(PROGRAM.format(folder=tmp_path))
    path.chmod(0o755)
    (tmp_path / "state").write_text("running\n")
    (tmp_path / "pid").write_text("42\n")
    return str(path)


def facts(program: str, **changes: Any) -> StorageServerFacts:
    words = {verb: [program, "{class}", verb] for verb in ("pause", "resume", "failover", "status")}
    return StorageServerFacts.model_validate({**words, "generation_pattern": r"pid \d+", **changes})


def server(program: str, **changes: Any) -> StorageServer:
    return StorageServer(storage_class="fast; touch /tmp/x", facts=facts(program, **changes))


def paused(program: str, folder: Path, seconds: float = 5.0) -> PauseStorage:
    journal = Journal.of(folder)
    return PauseStorage(server=server(program), seconds=seconds, longest_seconds=600, journal=journal)


def test_a_pause_is_proved_and_taken_back(program: str, tmp_path: Path) -> None:
    """By what the server says of itself, before, meanwhile and after; without a shell."""
    fault = paused(program, tmp_path)
    assert fault.inject(Deadline(30, FakeClock()))["status"] == "paused"
    assert Journal.of(tmp_path).paused_storage == ["fast; touch /tmp/x"]
    told = fault.heal(Deadline(30, FakeClock()))
    assert (told["status"], told["lasted"], told["generation"]) == ("running", True, "pid 42")
    assert Journal.of(tmp_path).paused_storage == []
    assert (tmp_path / "state").read_text() == "running\n"
    assert "fast; touch /tmp/x pause" in (tmp_path / "asked").read_text().splitlines()


def test_a_server_that_runs_on_was_not_paused(program: str, tmp_path: Path) -> None:
    """It is told so, and resumed all the same."""
    (tmp_path / "stubborn").touch()
    fault = paused(program, tmp_path)
    with pytest.raises(WaitTimeoutError, match="is paused"):
        fault.inject(Deadline(5, FakeClock()))
    fault.heal(Deadline(5, FakeClock()))
    assert (tmp_path / "asked").read_text().splitlines()[-2].endswith(" resume")


def test_a_server_that_somebody_else_paused_is_left_alone(program: str, tmp_path: Path) -> None:
    """It was not running before; who paused it has a reason."""
    (tmp_path / "state").write_text("paused\n")
    fault = paused(program, tmp_path)
    with pytest.raises(WaitTimeoutError, match="is running"):
        fault.inject(Deadline(5, FakeClock()))
    assert fault.heal(Deadline(5, FakeClock())) == {"status": "left as it was"}
    assert (tmp_path / "state").read_text() == "paused\n"


@pytest.mark.parametrize(("said", "state"), [
    ("not running", "down"), ("running, not paused", "running"), ("paused, not running", "paused"),
])
def test_what_is_denied_is_not_so(program: str, tmp_path: Path, said: str, state: str) -> None:
    """Without patterns of the target's own."""
    (tmp_path / "state").write_text(f"{said}\n")
    assert server(program).status()[0] == state


def test_a_server_that_went_on_by_itself_did_not_last(program: str, tmp_path: Path) -> None:
    """Nobody knows for how long it stood still."""
    fault = paused(program, tmp_path)
    fault.inject(Deadline(30, FakeClock()))
    (tmp_path / "state").write_text("running\n")
    assert fault.heal(Deadline(30, FakeClock()))["lasted"] is False


@pytest.mark.parametrize(("ending", "state"), [("", "running"), ("done\n", "paused")])
def test_a_pause_does_not_outlive_its_harness(program: str, tmp_path: Path, ending: str, state: str) -> None:
    """The watchdog resumes the server when its input ends without a word, and leaves it to who says that it is done."""
    (tmp_path / "state").write_text("paused\n")
    Journal.of(tmp_path).storage_pause("fast")
    command = [sys.executable, "-m", "scenarios.storage_server", str(tmp_path / "journal.jsonl"), "fast", "600"]
    argv = json.dumps([program, "fast", "resume"])
    subprocess.run(command, input=f"{argv}\n{ending}", text=True, check=True, cwd=PROJECT, timeout=60)
    assert (tmp_path / "state").read_text() == f"{state}\n"
    assert Journal.of(tmp_path).paused_storage == ([] if state == "running" else ["fast"])


def test_a_pause_has_a_longest_time(program: str, tmp_path: Path) -> None:
    """A harness that hangs cannot keep the server paused."""
    (tmp_path / "state").write_text("paused\n")
    command = [sys.executable, "-m", "scenarios.storage_server", str(tmp_path / "journal.jsonl"), "fast", "0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, cwd=PROJECT) as watchdog:
        assert watchdog.stdin is not None
        watchdog.stdin.write(json.dumps([program, "fast", "resume"]) + "\n")
        watchdog.stdin.flush()
        assert watchdog.wait(60) == 0
    assert (tmp_path / "state").read_text() == "running\n"


def test_another_server_serves_after_a_failover(program: str) -> None:
    """Its generation tells."""
    fault = FailOver(server=server(program))
    assert fault.inject(Deadline(30, FakeClock()))["generation"] == "pid 42"
    assert fault.heal(Deadline(30, FakeClock()))["generation"] == "pid 77"


def test_the_same_server_after_a_failover_was_never_killed(program: str, tmp_path: Path) -> None:
    """The command did nothing; where no generation is told, only the writes can tell."""
    (tmp_path / "stubborn").touch()
    fault = FailOver(server=server(program))
    fault.inject(Deadline(30, FakeClock()))
    with pytest.raises(StorageServerError, match="is the one that it was: pid 42"):
        fault.heal(Deadline(30, FakeClock()))
    silent = FailOver(server=server(program, generation_pattern=""))
    silent.inject(Deadline(30, FakeClock()))
    assert silent.heal(Deadline(30, FakeClock()))["generation"] == ""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_generation_that_is_not_found_is_no_other(program: str, tmp_path: Path, moment: str) -> None:
    """A pattern that fits no more would make every failover one."""
    fault = FailOver(server=server(program))
    if moment == "after":
        fault.inject(Deadline(30, FakeClock()))
    (tmp_path / "pid").write_text("none\n")
    with pytest.raises(StorageServerError, match="generation_pattern finds nothing"):
        (fault.inject if moment == "before" else fault.heal)(Deadline(30, FakeClock()))


@pytest.mark.parametrize(("changes", "words"), [
    ({"status": ["{program}", "s3cret", "explode"]}, "ended with exit code 3: cannot do that"),
    ({"status": ["/no/such/program", "s3cret"]}, "/no/such/program cannot be run"),
    ({"paused_pattern": "running"}, "its state cannot be read from 'server"),
])
def test_a_command_that_fails_is_quoted_without_its_arguments(
    program: str, changes: dict[str, Any], words: str
) -> None:
    """They may hold what is nobody's business."""
    filled = {key: [word.replace("{program}", program) for word in value] if isinstance(value, list) else value
              for key, value in changes.items()}
    broken = server(program, **filled)
    with pytest.raises(StorageServerError, match=words) as caught:
        broken.status()
    assert "explode" not in str(caught.value)
    assert program not in repr(broken)


def test_the_record_keeps_the_classes_and_no_command(program: str) -> None:
    """A command may hold a password."""
    target = Target(name="t", storage_servers={"fast": facts(program, pause=[program, "-p", "s3cret"])})
    kept = target.facts()
    assert kept["storage_servers"] == ["fast"]
    assert "s3cret" not in json.dumps(kept)


@pytest.mark.parametrize(("table", "words"), [
    ({"pause": [], "resume": ["a"], "status": ["a"]}, "storage_servers.fast.pause"),
    ({"pause": ["a"], "resume": ["a"]}, "storage_servers.fast.status"),
    ({"pause": ["a"], "resume": ["a"], "status": ["a"], "paused_pattern": "("}, "is no regular expression"),
    ({"pause": ["a"], "resume": ["a"], "status": ["a"], "shell": "rm"}, "storage_servers.fast.shell"),
])
def test_facts_that_cannot_be_used_are_refused_by_name(table: dict[str, Any], words: str) -> None:
    """Before anything is paused that could not be resumed."""
    with pytest.raises(CannotRunError, match=words):
        target_from({"name": "t", "storage_servers": {"fast": table}}, "The target file t.toml")


def test_a_server_that_was_left_paused_is_named(tmp_path: Path) -> None:
    """A run that was killed says so to who cleans up after it."""
    journal = Journal.of(tmp_path)
    journal.opened("", "", lab=False)
    journal.storage_pause("fast")
    assert journal.unfinished
    journal.abandon()
    assert not journal.unfinished
