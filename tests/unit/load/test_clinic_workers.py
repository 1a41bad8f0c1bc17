"""Clinic staff over several of Locust's workers, as processes: one record, and a lost worker is never overlooked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from drainproof.record import Case, CaseReader
from tests.unit.load.conftest import plan_data

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def case(tmp_path: Path) -> CaseReader:
    return CaseReader(tmp_path / "case")


@pytest.fixture
def clinic(tmp_path: Path, server: Any) -> Iterator[subprocess.Popen[str]]:
    """The clinic observer with two workers of its own."""
    data = plan_data(tmp_path / "case", server.server_port, clinic_users=4)
    data["portal"]["virtual_port"] = server.server_port
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**data, "clinic_workers": 2}))
    process = subprocess.Popen(
        [sys.executable, "-m", "load.clinic", str(path)], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=dict(os.environ),
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def wait_for_samples(clinic: subprocess.Popen[str], least: int) -> dict[str, Any]:
    assert clinic.stdout is not None
    for line in clinic.stdout:
        report: dict[str, Any] = json.loads(line)
        if report.get("samples", 0) >= least:
            return report
    raise AssertionError(f"the clinic ended: {clinic.communicate()[1]}")


def test_the_samples_of_all_workers_are_one_record(
    clinic: subprocess.Popen[str], case: CaseReader, server: Any
) -> None:
    """What the observer counted, what the workers sent and what the record holds are the same; clocks are told."""
    wait_for_samples(clinic, 30)
    clinic.send_signal(signal.SIGTERM)
    _, errors = clinic.communicate(timeout=30)
    assert clinic.returncode == 0, errors
    workers = case.events("clinic", "worker")
    assert {event.data["index"] for event in workers} == {0, 1}
    (stop,) = case.events("clinic", "stop")
    writing = Case(case.directory)
    writing.merge_samples()
    writing.close()
    samples = case.samples()
    assert sum(len(stream) for stream in samples.values()) == stop.data["samples"] >= 30
    assert all(name.startswith("clinic/") for name in samples)
    starts = np.concatenate([stream.start_ns for stream in samples.values()])
    (start,) = case.events("clinic", "start")
    assert (starts > start.t_ns).all()
    assert (starts < stop.t_ns).all()
    clocks = case.events("clock", "offset")
    assert [(event.data["offset_ns"], event.data["one_clock"]) for event in clocks] == [(0, True)] * 2


def test_a_worker_that_dies_ends_the_observer_with_an_error(
    clinic: subprocess.Popen[str], case: CaseReader
) -> None:
    """Its last samples are gone, so nothing may be claimed of the clinic."""
    wait_for_samples(clinic, 10)
    worker = next(
        child for child in psutil.Process(clinic.pid).children() if "load.clinic_worker" in " ".join(child.cmdline())
    )
    worker.kill()
    _, errors = clinic.communicate(timeout=30)
    assert clinic.returncode != 0
    assert "ended with code -9" in errors
    assert case.events("clinic", "stop")
