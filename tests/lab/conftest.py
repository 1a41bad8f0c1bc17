"""Tests with real guests: a lab of their own, short phases, and ways to tamper with a running portal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drainproof.settings import Profile, load_profile
from drainproof.target import Target
from fixtures.observation import Observation
from fixtures.progress import Progress
from fixtures.target import PROJECT, opened
from reports.verdict import CaseVerdict, Claim

LAB = "check"
API_PORT = 16700


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the lab."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("lab")


@pytest.fixture(scope="session")
def profile() -> Profile:
    """Short phases."""
    return load_profile(str(Path(__file__).with_name("short.toml")), Path())


@pytest.fixture(scope="session")
def target(profile: Profile, progress: Progress) -> Iterator[Target]:
    """A lab of its own, beside one that a person may have up."""
    progress.phase("target")
    with opened(f"lab:{LAB}", None, profile, progress.note, API_PORT) as found:
        yield found


def claim(verdict: CaseVerdict, claim_id: str) -> Claim:
    """The claim of that id."""
    return next(one for one in verdict.claims if one.id == claim_id)


def sql(observation: Observation, vm: str, *statements: str) -> list[list[object]]:
    """Run statements on one member, where the clients are; returns the rows of each."""
    certification = observation.certification
    command = [sys.executable, "-m", "load.sql", str(observation.plan_file), vm, *statements]
    done = subprocess.run(
        [*certification.target.client_exec, *command],
        cwd=PROJECT, env={**os.environ, "DRAINPROOF_SQL_PASSWORD": observation.portal.password},
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["rows"] for line in done.stdout.splitlines()]
