"""What a stopwatch invents, and what it still finds, while six hogs want both processors."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.instrument.blackouts import MS, spread
from bench.instrument.crew import Crew
from bench.instrument.matching import Score, match
from bench.instrument.measured import measured
from bench.instrument.scale import Scale
from bench.instrument.stage import soon, stage
from bench.instrument.table import Row, Verdict
from drainproof.settings import Limits

HOGS = 6
LEVELS = {"SCHED_FIFO": "realtime", "nice 0": "nice:0", "nice 10": "nice:10", "nice 19": "nice:19"}
LENGTH_NS = 50 * MS
PAUSES_MS = (8_000.0, 12_000.0)
SHORT_PAUSES_MS = (800.0, 1_200.0)
SHORT_SECONDS = 60
RECALL = 0.95
STREAM = "udp/vm-0"
SETTLE_NS = 1500 * MS
LISTED = 3


def hogs(scale: Scale, directory: Path) -> Iterator[Row]:
    """Stopwatches of four priorities side by side on one wire, hogs, and true blackouts of 50 ms now and then."""
    with stage(directory) as scene:
        watches = {name: scene.stopwatch(level.replace(":", "-"), priority=level) for name, level in LEVELS.items()}
        scene.await_ready(*watches.values())
        begin = soon()
        quiet_until = begin + scale.baseline_seconds * 1000 * MS
        scene.crew.rest_until(quiet_until)
        pauses = SHORT_PAUSES_MS if scale.hog_seconds < SHORT_SECONDS else PAUSES_MS
        count = round(2000 * scale.hog_seconds / sum(pauses))
        played = spread(random.Random(3), [LENGTH_NS] * count, quiet_until + LENGTH_NS, pauses)
        with hogging(scene.crew):
            scene.wires[0].play(played)
            end = played[-1].end_ns + SETTLE_NS
            scene.crew.rest_until(end)
        scene.await_truths(count)
        scene.finish(*watches.values())
        scene.end_wires()
        truths, stalls = scene.wires[0].truths(), scene.wires[0].stalls()
        for name, watch in watches.items():
            seen = measured(watch, STREAM, (begin, quiet_until), (quiet_until, end))
            yield from _rows(name, match(seen.found, truths, stalls), seen.void_share, (end - quiet_until) / 1e9)


@contextmanager
def hogging(crew: Crew) -> Iterator[None]:
    """Six processes that never wait, for the length of a block."""
    members = [crew.start(f"hog{number}", [sys.executable, "-c", "while True: pass"]) for number in range(HOGS)]
    try:
        yield
    finally:
        crew.end(*members)


def _rows(name: str, score: Score, void_share: float, seconds: float) -> Iterator[Row]:
    listed = "; ".join(f"{one.mid_ns / MS:.1f} ms at {one.begin_ns}" for one in score.false[:LISTED])
    yield Row.judged(
        f"false outages beside {HOGS} hogs, {name}", "0; void time reported",
        f"{len(score.false)} in {seconds:.0f} s{': ' + listed if listed else ''}; {100 * void_share:.1f} % void; "
        f"{len(score.unplanned)} where the wire stood still",
        not score.false,
    )
    recall = f"{100 * score.detection:.1f} % of {score.blackouts}"
    target = f"at least {100 * RECALL:.0f} %, or unknown"
    if void_share > Limits().void_share:
        measured_text = f"unknown: {100 * void_share:.1f} % void, as a certificate would say; {recall} found"
        yield Row(f"recall of 50 ms beside {HOGS} hogs, {name}", target, measured_text, Verdict.MET)
    else:
        yield Row.judged(f"recall of 50 ms beside {HOGS} hogs, {name}", target, recall, score.detection >= RECALL)
