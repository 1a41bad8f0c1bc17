"""Judging and rendering a run of ten million samples on one processor, and opening a certificate of five million."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.figure import PROJECT, Figure, timed
from reports.publishing import JUNIT, REPORT, TEXTFILE
from tests.browser.browsing import DRAWN, browser, opened

JUDGED_ROWS, OPENED_ROWS = 10_000_000, 5_000_000
PROCESSOR = 0
LIMITS = {"seconds": 20.0, "memory": 1.0, "opens": 3.0, "megabytes": 15.0}


@dataclass(frozen=True)
class Spent:
    """What a process took."""

    seconds: float
    processor_seconds: float
    memory_gb: float
    code: int


def measure() -> Iterator[Figure]:
    """Judge, render and open; a verdict other than pass is said, because then the figures are of something else."""
    with tempfile.TemporaryDirectory(prefix="drainproof-bench-") as name:
        yield from _judged(Path(name) / "judged")
        yield from _opened(Path(name) / "opened")


def _judged(run: Path) -> Iterator[Figure]:
    timed("bench.long_record", str(run), str(JUDGED_ROWS))
    spent = _alone("reports.rejudge", str(run), "--write")
    label = f"{JUDGED_ROWS // 1_000_000}M samples"
    yield Figure(f"{label}: judge and render, one core", spent.seconds, "s", f"under {LIMITS['seconds']:g}")
    yield Figure(f"{label}: of that the processor worked", spent.processor_seconds, "s")
    yield Figure(f"{label}: peak memory", spent.memory_gb, "GB", f"under {LIMITS['memory']:g}")
    yield Figure(f"{label}: exit code of the verdict", spent.code, "", "0")
    for file in (REPORT, JUNIT, TEXTFILE):
        yield Figure(f"{label}: {file}", (run / file).stat().st_size / 1e6, "MB")
    yield Figure(f"{label}: the record itself", sum(map(_size, run.rglob("*.*"))) / 1e6, "MB")


def _opened(run: Path) -> Iterator[Figure]:
    timed("bench.long_record", str(run), str(OPENED_ROWS))
    _alone("reports.rejudge", str(run), "--write")
    label = f"{OPENED_ROWS // 1_000_000}M samples"
    yield Figure(f"{label}: {REPORT}", _size(run / REPORT) / 1e6, "MB", f"under {LIMITS['megabytes']:g}")
    try:
        opened_after = _until_drawn(run / REPORT)
        yield Figure(f"{label}: until the chart is drawn", opened_after, "s", f"under {LIMITS['opens']:g}")
    except FileNotFoundError as error:
        print(error, file=sys.stderr)


def _until_drawn(report: Path) -> float:
    """Seconds from asking for the page to the timeline's being drawn, in a browser that runs already."""
    with browser() as one:
        begun = time.perf_counter()
        with opened(one, report, "#timeline-1") as page:
            page.page.wait_for_selector(DRAWN)
            return time.perf_counter() - begun


def _alone(module: str, *arguments: str) -> Spent:
    """Run a program on one processor, with what its own process took."""
    begun = time.perf_counter()
    command = ["taskset", "-c", str(PROCESSOR), sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    worked = usage.ru_utime + usage.ru_stime
    return Spent(time.perf_counter() - begun, worked, usage.ru_maxrss * 1024 / 1e9, process.returncode)


def _size(path: Path) -> int:
    return path.stat().st_size
