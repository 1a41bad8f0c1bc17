"""The comparison of many runs: `drainproof compare` over 200 of two classes, five cases with 40 figures each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from bench.figure import PROJECT, Figure
from drainproof.clock import Anchor
from drainproof.record import Run, RunInfo
from drainproof.record.case import EVENTS, VERDICT, write_json
from drainproof.record.run_manifest import seal_run
from drainproof.settings import Profile
from reports import verdict

RUNS, CASES, STREAMS = 200, 5, 10
AXES: Final = ("downtime", "outage", "p99 latency, disturbed", "IOPS, migrating")
"""Each of every stream: 40 figures of a case; two axes have a line that leads, of two every stream leads."""
CLASSES: Final = ("one", "other")
BEGIN = 1_790_000_000


def measure(runs: int = RUNS) -> Iterator[Figure]:
    """Make the runs, then compare them with all outputs, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="drainproof-bench-") as name:
        directory = Path(name, "runs")
        for number in range(runs):
            _make(directory, number)
        command = [sys.executable, "-m", "reports.compare", str(directory), "--out", str(Path(name, "out"))]
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        yield Figure(f"compare {runs} runs, wall time", seconds, "s", "under 30 s")
        yield Figure(f"compare {runs} runs, processor time", usage.ru_utime + usage.ru_stime, "s")
        yield Figure(f"compare {runs} runs, peak memory", usage.ru_maxrss / 1024, "MiB")
        yield Figure(f"compare {runs} runs, exit code", process.returncode, "", "0")
        for path in sorted(Path(name, "out").iterdir()):
            yield Figure(f"compare {runs} runs, {path.name}", path.stat().st_size / 2**20, "MiB")


def _make(directory: Path, number: int) -> None:
    chance = np.random.default_rng(number)
    of_class, started = CLASSES[(number + number // 2) % 2], BEGIN + 600 * number
    info = RunInfo(
        run_id=f"run-{number:03d}", started=datetime.fromtimestamp(started, UTC).isoformat(),
        anchor=Anchor(number, started * 10**9), command="drainproof certify", seed=1,
        target={"name": "made", "storage_classes": {"shared": of_class}},
        settings=Profile(name="made").model_dump(mode="json"), versions={"kubevirt": "v1.9.0"},
    )
    run = directory / info.run_id
    Run(run).describe(info)
    for case in range(CASES):
        shift = 1.0 + 0.1 * (of_class == CLASSES[1]) * case
        figures = tuple(
            verdict.Figure(axis=axis, object=f"stream-{stream}", value=float(shift * chance.gamma(20, 0.05)), unit="s")
            for axis in AXES for stream in range(STREAMS)
        )
        judged = verdict.CaseVerdict(
            case=f"case_{case}", title="made", verdict=verdict.Verdict.PASS, limits={}, claims=(),
            judged_by={"version": "made"}, figures=figures,
        )
        (run / judged.case).mkdir()
        (run / judged.case / EVENTS).touch()
        write_json(run / judged.case / VERDICT, judged.as_json())
    seal_run(run)


if __name__ == "__main__":
    for figure in measure(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS):
        print(f"{figure.name:<44}{figure.value:>10.2f} {figure.unit:<4} {figure.aim}", flush=True)
