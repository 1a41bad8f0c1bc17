"""How well the interval and its midpoint tell a blackout's length, and how short a blackout may be to be found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.instrument.blackouts import MODES, MS, log_uniform, spread
from bench.instrument.matching import Score, match
from bench.instrument.measured import measured
from bench.instrument.scale import Scale
from bench.instrument.stage import Stage, soon, stage
from bench.instrument.table import Row

WIRES = 2
LENGTHS_MS = (2.0, 2000.0)
PAUSES_MS = (150.0, 300.0)
TWO_PERIODS_NS = 2 * MS
SETTLE_NS = 1500 * MS
"""What was lost last has timed out by then."""
LISTED = 5


@dataclass(frozen=True)
class Told:
    """What one session has given."""

    score: Score
    void_share: float
    detection_ns: int
    """From which length on the instrument itself claims to see every blackout, held ones included."""
    wires: str


def accuracy(scale: Scale, directory: Path) -> Iterator[Row]:
    """Random blackouts of every length on all wires at once."""
    chance = random.Random(1)
    lengths = [[log_uniform(chance, *LENGTHS_MS) for _ in range(scale.blackouts // WIRES)] for _ in range(WIRES)]
    told = _session(scale, directory, chance, lengths)
    score = told.score
    seen = score.since(told.detection_ns)
    yield _coverage(f"from the {told.detection_ns / MS:.2f} ms on that it claims to see", seen)
    for name, part in (("drop and hold", score), ("drop", score.of("drop")), ("hold", score.of("hold"))):
        yield _coverage(name, part)
        errors = part.errors_ns()
        yield Row.judged(
            f"error of the midpoint, {name}", "at most 1 ms; bias under 0.1 ms",
            f"{part.worst_ns / MS:.2f} ms; bias {part.bias_ns / MS:+.3f} ms ({len(errors)} of {part.blackouts}: "
            "client and wire not late)",
            bool(errors) and part.worst_ns <= MS and abs(part.bias_ns) < 0.1 * MS,
        )
    yield Row.told("not found; false; in further pieces", _exceptions(score))
    yield Row.told("outside the interval", _outside(score))
    yield Row.told("stopwatch away", f"{100 * told.void_share:.2f} % of the time; {_claim(told)}")
    yield Row.told("the wire itself", told.wires)


def detection(scale: Scale, directory: Path) -> Iterator[Row]:
    """Blackouts of exactly two periods, at a random phase."""
    lengths = [[TWO_PERIODS_NS] * (scale.short_blackouts // WIRES)] * WIRES
    told = _session(scale, directory, random.Random(2), lengths)
    score = told.score
    yield Row.judged(
        "detection of a blackout of two periods (2 ms)", "at least 99 %",
        f"{_detected(score)}; {_exceptions(score)}; {_claim(told)}", score.detection >= 0.99,
    )
    for mode in MODES:
        yield Row.told(f"detection of a blackout of two periods, {mode}", _detected(score.of(mode)))


def _detected(score: Score) -> str:
    return f"{100 * score.detection:.2f} % of {score.blackouts}"


def _session(scale: Scale, directory: Path, chance: random.Random, lengths: list[list[int]]) -> Told:
    with stage(directory, len(lengths)) as scene:
        watch = scene.stopwatch("watch")
        scene.await_ready(watch)
        begin = soon()
        quiet_until = begin + scale.baseline_seconds * 1000 * MS
        played = [spread(chance, own, quiet_until, PAUSES_MS) for own in lengths]
        for wire, blackouts in zip(scene.wires, played, strict=True):
            wire.play(blackouts)
        end = max(blackouts[-1].end_ns for blackouts in played) + SETTLE_NS
        scene.crew.rest_until(end)
        scene.await_truths(len(played[0]))
        scene.finish(watch)
        scene.end_wires()
        found = [
            measured(watch, f"udp/vm-{wire.line.number}", (begin, quiet_until), (quiet_until, end))
            for wire in scene.wires
        ]
        score = Score.sum(
            match(one.found, wire.truths(), wire.stalls()) for one, wire in zip(found, scene.wires, strict=True)
        )
        void_share, claimed_ns = max(one.void_share for one in found), max(one.detection_ns for one in found)
        return Told(score, void_share, claimed_ns, _wires(scene))


def _coverage(which: str, score: Score) -> Row:
    return Row.judged(
        f"interval holds the truth, {which}", "at least 99.9 %",
        f"{100 * score.coverage:.2f} % of {score.blackouts} ({score.blurred} with a blurred truth)",
        score.coverage >= 0.999,
    )


def _claim(told: Told) -> str:
    return f"it claims to see every blackout from {told.detection_ns / MS:.2f} ms on"


def _wires(scene: Stage) -> str:
    reports = [wire.report() for wire in scene.wires]
    frames = sum(report["frames"] for report in reports)
    waited = {key: max(report["waited_us"][key] for report in reports) for key in reports[0]["waited_us"]}
    cost = max(report["cpu_us_per_frame"] for report in reports)
    told = ", ".join(f"{key} {value:.0f}" for key, value in waited.items())
    return f"{frames} frames, waited {told} us at most, {cost:.0f} us CPU a frame"


def _exceptions(score: Score) -> str:
    missed = "; ".join(f"{one.mode} {one.length_ns / MS:.2f} ms at {one.begin_ns}" for one in score.missed[:LISTED])
    false = "; ".join(f"{one.mid_ns / MS:.2f} ms at {one.begin_ns}" for one in score.false[:LISTED])
    return (
        f"{len(score.missed)} missed{': ' + missed if missed else ''}, "
        f"{len(score.false)} false{': ' + false if false else ''}, {len(score.pieces)} in pieces, "
        f"{len(score.unplanned)} where the wire stood still"
    )


def _outside(score: Score) -> str:
    wrong = [pair for pair in score.pairs if not pair.holds]
    listed = "; ".join(
        f"{pair.truth.mode} {pair.truth.length_ns / MS:.3f} ms not in {pair.found.lo_ns / MS:.3f}.."
        f"{pair.found.hi_ns / MS:.3f} at {pair.truth.begin_ns}"
        for pair in wrong[:LISTED]
    )
    return f"{len(wrong)}{': ' + listed if listed else ''}"
