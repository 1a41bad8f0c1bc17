"""A warm `drainproof certify`: its wall time, its phases and its memory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.figure import PROJECT, Figure
from drainproof.record import CaseReader, Run
from lab import processes

SAMPLE_SECONDS = 0.5
LAB = "lab"


def measure() -> Iterator[Figure]:
    """Run the quick profile once on a machine whose caches are warm; a verdict other than pass is said."""
    with tempfile.TemporaryDirectory(prefix="drainproof-bench-") as runs:
        begun = time.perf_counter()
        command = [sys.executable, "-m", "drainproof", "certify", "--runs", runs]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            peak = _peak_memory(process)
            code = process.wait()
        yield Figure("warm certify, wall time", time.perf_counter() - begun, "s", "under 240 s")
        yield Figure("warm certify, exit code", code, "", "0")
        yield Figure("warm certify, peak memory of all processes", peak / 2**20, "MiB")
        for case in (case for run in Path(runs).iterdir() for case in Run(run).cases()):
            yield from _phases(CaseReader(case))


def _peak_memory(process: subprocess.Popen[bytes]) -> float:
    """The largest sum of proportional set sizes of the command, the lab and the guests, in bytes."""
    peak = 0.0
    while process.poll() is None:
        own = psutil.Process(process.pid)
        with contextlib.suppress(psutil.Error):
            family = {process.pid, *(child.pid for child in own.children(recursive=True)), *processes.marked(LAB)}
            peak = max(peak, sum(map(_memory, family)))
        time.sleep(SAMPLE_SECONDS)
    return peak


def _memory(pid: int) -> float:
    with contextlib.suppress(psutil.Error, OSError):
        return float(psutil.Process(pid).memory_full_info().pss)
    return 0.0


def _phases(case: CaseReader) -> Iterator[Figure]:
    begun: dict[str, int] = {}
    for event in case.events("run", "phase"):
        name = str(event.data["phase"])
        if event.data["state"] == "begin":
            begun[name] = event.t_ns
        elif name in begun and name.startswith(("deploy", "drain")):
            label = "three machines to Galera Synced" if name == "deploy" else f"{name}, machine Ready elsewhere"
            yield Figure(label, (event.t_ns - begun[name]) / 1e9, "s", "under 45 s" if name == "deploy" else "")
