"""Runs and policies for tests of the gate: sealed runs of the good record, each with evidence of its own."""

from __future__ import annotations

import json
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drainproof.record.manifest import MANIFEST, seal
from drainproof.record.run_manifest import seal_run
from reports.gate.__main__ import main
from reports.judge import judge
from tests.unit.reports.records import Record, good_record

NOW = "2026-01-03T00:00:00Z"
"""Two days after the records were made."""
CLASS = "lab-shared"
PROFILE = "tried"
"""None that is shipped: the record's settings are those of no profile."""
TEST = "test_drain.py::test_drain_of_every_node"
CASE = "drain_of_every_node"
POLICY = f"""
name = "cut-over"
[evidence]
profiles = ["tried"]
emulated = true
max_age_days = 7
[[require]]
tests = ["{TEST}"]
storage_classes = ["{CLASS}"]
repetitions = 2
"""


def write_run(run: Path, spoil: Callable[[Record], object] = lambda _: None) -> Path:
    """A judged and sealed run, as a session leaves it; `spoil` changes the record before."""
    record = good_record()
    record.settings["name"] = PROFILE
    record.target |= {"storage_classes": {"shared": CLASS}}
    record.event(-60.5, "run", "note", run.name)
    spoil(record)
    case = record.write(run)
    edit(run / "run.json", lambda info: info["anchor"].update(wall_ns=info["anchor"]["wall_ns"] + _offset(run.name)))
    reseal_case(case)
    judge(case)
    seal_run(run)
    return run


def _offset(name: str) -> int:
    """No two runs begin at the same nanosecond."""
    return zlib.crc32(name.encode("utf-8", "replace")) % 1000


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def reseal_case(case: Path) -> None:
    """Make a case's manifest anew, as whoever alters evidence would."""
    (case / MANIFEST).unlink()
    seal(case)


def write_policy(folder: Path, text: str = POLICY) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    return path


def ask(folder: Path, *arguments: str, policy: str = POLICY, now: str = NOW) -> tuple[int, dict[str, Any]]:
    """The gate's exit code and answer about everything below `folder`, or about the runs named."""
    answer = folder / "answer.json"
    runs = arguments or (str(folder / "runs"),)
    code = main([*runs, "--policy", str(write_policy(folder, policy)), "--json", str(answer), "--now", now])
    return code, json.loads(answer.read_text()) if answer.exists() else {}


def reasons(answer: dict[str, Any], word: str = "") -> list[str]:
    """The reasons as lines, all or those of one weight."""
    return [
        f"{one['object']}: {one['expected']}: {one['seen']}" for one in answer["reasons"] if word in ("", one["answer"])
    ]


def make_key(folder: Path, name: str) -> Path:
    """An SSH key without a passphrase, for this test alone."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def allow(folder: Path, identity: str, key: Path) -> Path:
    """A file that allows an identity to sign with a key."""
    path = folder / "allowed_signers"
    path.write_text(f"{identity} {key.with_suffix('.pub').read_text()}")
    return path
