"""A hundred million samples, merged and read as a judge would: `python -m bench.samples [--rows N]`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.figure import PROJECT, Figure
from drainproof.record.manifest import digest_of
from drainproof.record.merging import merge_shards
from drainproof.record.samples import Outcome, read_samples
from drainproof.record.shards import SHARD_SUFFIX
from drainproof.record.spool import PLAIN_ROW, Rows, header
from reports.outages import estimator
from reports.outages.calibration import Calibration, calibrate
from reports.outages.outage import Probes
from reports.outages.voids import Voids

ROWS = 100_000_000
MACHINES, VANTAGES = 5, ("outside", "node-b")
PERIOD_NS, LIMIT_NS = 1_000_000, 1_000_000_000
BEGIN_NS = 10**15
TURNS = 1 << 18
"""How many turns over all machines are made at once."""
OUTAGE_EVERY_NS, OUTAGES_NS = 600 * 10**9, (80_000_000, 400_000_000)
SAMPLES = "samples.parquet"
LIMITS = {"disk": 1.0, "memory": 4.0, "judge": 30.0}

BASELINE_NS = (10**9, 60 * 10**9)

Chunk = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Step:
    """What a step took in a process of its own."""

    seconds: float
    memory_gb: float
    found: float


def outages_of(chunks: Iterator[Chunk]) -> int:
    """How many outages that lasted for certain the certificate's own estimator finds in a stream."""
    calibration, pieces = _calibrated(chunks)
    last = BEGIN_NS + ROWS * PERIOD_NS
    found = estimator.find(map(_probes_of, pieces), calibration, Voids.none(), (BEGIN_NS, last)).outages
    return sum(outage.lo_ns > 0 for outage in found)


def _calibrated(chunks: Iterator[Chunk]) -> tuple[Calibration, Iterator[Chunk]]:
    """What is normal, from a quiet stretch of the first chunk, and all chunks again."""
    first = next(chunks)
    quiet = slice(*np.searchsorted(first["start_ns"], [BEGIN_NS + edge for edge in BASELINE_NS]))
    trips = first["end_ns"][quiet] - first["start_ns"][quiet]
    return calibrate(trips, 0, PERIOD_NS), chain([first], chunks)


def _probes_of(chunk: Chunk) -> Probes:
    return Probes(chunk["start_ns"], chunk["end_ns"], chunk["outcome"] == Outcome.OK)


def make(directory: Path, rows: int) -> float:
    """Write a shard per vantage point: every machine probed at 1 kHz, with jitter, and outages that drop or hold."""
    for number, vantage in enumerate(VANTAGES):
        suffix = f"@{vantage}" if number else ""
        chance = np.random.default_rng(number)
        turns = rows // len(VANTAGES) // MACHINES
        with (directory / f"stopwatch-{vantage}{SHARD_SUFFIX}").open("wb") as file:
            file.write(header([f"udp/portal-{machine}{suffix}" for machine in range(MACHINES)], keyed=False))
            for first in range(0, turns, TURNS):
                _probes(chance, first, min(TURNS, turns - first)).tofile(file)
    return float(rows)


def _probes(chance: np.random.Generator, first: int, turns: int) -> Rows:
    count = turns * MACHINES
    rows = np.zeros(count, PLAIN_ROW)
    rows["stream"] = np.tile(np.arange(MACHINES), turns)
    due = np.repeat(np.arange(first, first + turns), MACHINES) * PERIOD_NS
    due += rows["stream"].astype(np.int64) * (PERIOD_NS // MACHINES)
    rows["late"] = chance.lognormal(np.log(60_000), 0.5, count).clip(max=PERIOD_NS // MACHINES - 1)
    rows["start"] = BEGIN_NS + due + rows["late"]
    took = chance.lognormal(np.log(250_000), 0.4, count).astype(np.int64)
    since = due % OUTAGE_EVERY_NS
    odd = due // OUTAGE_EVERY_NS % 2 == 1
    dropped, held = (since < OUTAGES_NS[0]) & ~odd, (since < OUTAGES_NS[1]) & odd
    rows["outcome"][dropped] = Outcome.TIMEOUT
    took[dropped] = LIMIT_NS
    took[held] += OUTAGES_NS[1] - since[held]
    rows["end"] = rows["start"] + took
    return rows


def merge(directory: Path, rows: int) -> float:
    """Merge the shards; how many bytes a row takes on disk."""
    if troubles := merge_shards(sorted(directory.glob(f"*{SHARD_SUFFIX}")), directory / SAMPLES):
        raise RuntimeError("; ".join(troubles))
    return (directory / SAMPLES).stat().st_size / rows


def judge(directory: Path, rows: int) -> float:
    """Find the outages of every stream, piece by piece; returns how many of those that were made were missed."""
    found = read_samples(directory / SAMPLES)
    if sum(found.count(stream) for stream in found) != rows // len(VANTAGES) // MACHINES * MACHINES * len(VANTAGES):
        raise RuntimeError("the file holds other samples than were made")
    seconds = rows / len(VANTAGES) / MACHINES * PERIOD_NS
    made = len(found) * int(-(-seconds // OUTAGE_EVERY_NS))
    return float(made - sum(outages_of(found.chunks(stream)) for stream in found))


def verify(directory: Path, _rows: int) -> float:
    """Digest the file as the manifest does; how many bytes it has."""
    digest_of(directory / SAMPLES)
    return float((directory / SAMPLES).stat().st_size)


STEPS = {step.__name__: step for step in (make, merge, judge, verify)}


def measure(rows: int = ROWS) -> Iterator[Figure]:
    """The figures of so many samples, each step in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        _alone("make", Path(name), rows)
        merged = _alone("merge", Path(name), rows)
        yield Figure("samples: size on disk", merged.found * rows / 1e9, "GB", f"at most {LIMITS['disk']:g}")
        yield Figure("samples: merge", merged.seconds, "s")
        yield Figure("samples: memory of the merge", merged.memory_gb, "GB", f"at most {LIMITS['memory']:g}")
        judged = _alone("judge", Path(name), rows)
        yield Figure("samples: read, check and judge", judged.seconds, "s", f"at most {LIMITS['judge']:g}")
        yield Figure("samples: memory of the judge", judged.memory_gb, "GB", f"at most {LIMITS['memory']:g}")
        yield Figure("samples: outages missed (negative: invented)", judged.found, "", "0")
        yield Figure("samples: digest for the manifest", _alone("verify", Path(name), rows).seconds, "s")


def _alone(step: str, directory: Path, rows: int) -> Step:
    done = subprocess.run(
        [sys.executable, "-m", "bench.samples", "--rows", str(rows), "--step", step, "--directory", str(directory)],
        cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True,
    )
    return Step(**json.loads(done.stdout))


def _peak_memory_gb() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


def main() -> int:
    """Print the figures; with `--step`, do one of them and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m bench.samples", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        begun = time.perf_counter()
        found = STEPS[options.step](options.directory, options.rows)
        print(json.dumps(Step(time.perf_counter() - begun, _peak_memory_gb(), found).__dict__))
        return 0
    for figure in measure(options.rows):
        print(f"{figure.name:<44}{figure.value:>10.2f} {figure.unit:<4} {figure.aim}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
