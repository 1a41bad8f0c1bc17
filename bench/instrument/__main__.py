"""`python -m bench.instrument [--only NAME] [--short] [--keep DIR]`: proves the stopwatch and prints one table."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import FrameType

from bench import samples
from bench.figure import Figure
from bench.instrument import accuracy, cost, hogs, migrations, table
from bench.instrument.crew import BenchError
from bench.instrument.peers import contest
from bench.instrument.places import clear_leftovers, ownerless, this_process
from bench.instrument.scale import FULL, SHORT, Scale
from bench.instrument.table import Row, Verdict

NEEDED = ("chrt", "nsenter", "setpriv", "taskset")
DIRECTORY = "drainproof-bench-instrument-"
Part = Callable[[Scale, Path], Iterator[Row]]


def _samples(scale: Scale, _directory: Path) -> Iterator[Row]:
    return (_row(figure) for figure in samples.measure(scale.rows))


def _row(figure: Figure) -> Row:
    measured = f"{figure.value:.2f} {figure.unit}"
    if not figure.aim.startswith("at most "):
        return Row.told(figure.name, measured)
    good = figure.value <= float(figure.aim.split()[-1])
    return Row.judged(figure.name, f"{figure.aim} {figure.unit}", measured, good)


PARTS: dict[str, Part] = {
    "accuracy": accuracy.accuracy,
    "detection": accuracy.detection,
    "hogs": hogs.hogs,
    "cost": cost.cost,
    "saturated": cost.saturated,
    "peers": contest.contest,
    "migrations": migrations.migrations,
    "samples": _samples,
}


def main() -> int:
    """Print every figure beside its target: 0 when all are met, 1 when one is not, 3 when it cannot run."""
    options = _options()
    if trouble := _trouble():
        print(trouble, file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, _end)
    _clear()
    scale = SHORT if options.short else FULL
    own = f"{DIRECTORY}{this_process()}-"
    place = nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory(prefix=own)
    print(f"The instrument on {os.cpu_count()} processors, Linux {os.uname().release}, {scale.name} sizes", flush=True)
    print(table.HEAD, flush=True)
    begun, verdicts = time.monotonic(), []
    with place as directory:
        for name in options.only or PARTS:
            for row in _rows(name, scale, Path(directory) / name):
                print(table.text(row), flush=True)
                verdicts.append(row.verdict)
    print(f"{verdicts.count(Verdict.MISSED)} missed; it took {(time.monotonic() - begun) / 60:.1f} minutes")
    return 1 if Verdict.MISSED in verdicts or Verdict.UNKNOWN in verdicts else 0


def _clear() -> None:
    """Remove what killed runs have left."""
    clear_leftovers()
    place = Path(tempfile.gettempdir())
    for name in ownerless((path.name for path in place.glob(f"{DIRECTORY}*")), DIRECTORY):
        shutil.rmtree(place / name, ignore_errors=True)


def _rows(name: str, scale: Scale, directory: Path) -> Iterator[Row]:
    """The rows of a part; when it cannot be measured, a row that says why."""
    try:
        yield from PARTS[name](scale, directory)
    except BenchError as error:
        yield Row(name, "", str(error), Verdict.UNKNOWN)


def _trouble() -> str:
    if os.geteuid() != 0:
        return "The bench makes network namespaces and takes real-time priority, so it needs root; run it with sudo."
    missing = [command for command in NEEDED if shutil.which(command) is None]
    return f"The bench needs {', '.join(missing)}; install util-linux." if missing else ""


def _end(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.instrument", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this alone; may be repeated")
    parser.add_argument("--short", action="store_true", help="small sizes: shows that it works, proves little")
    parser.add_argument("--keep", type=Path, help="leave records and truths in this directory")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
