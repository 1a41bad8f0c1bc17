"""The seeded schedule: the same for the same seed, fair to all kinds, and never twice in a row at one target."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

from drainproof.record.events import EventLog, read_events
from scenarios.schedule import Planned, draw, recorded

KINDS = ("pause", "kill", "migrate", "stop")
TARGETS = ("portal-0", "portal-1", "portal-2")


def test_a_seed_repeats_its_schedule_exactly() -> None:
    """In this process and in another one, whose strings hash differently; another seed draws another schedule."""
    drawn = draw(7, KINDS, TARGETS, 12, 5.0)
    assert draw(7, KINDS, TARGETS, 12, 5.0) == drawn
    assert draw(8, KINDS, TARGETS, 12, 5.0) != drawn
    code = f"from scenarios.schedule import draw; print(draw(7, {KINDS}, {TARGETS}, 12, 5.0))"
    project = Path(__file__).parents[3]
    other = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(drawn)


def test_every_kind_comes_and_no_target_twice_in_a_row() -> None:
    """Whatever the seed: each round holds every kind once, and a target may recover while another is disturbed."""
    for seed in range(200):
        drawn = draw(seed, KINDS, TARGETS, 8)
        assert {one.kind for one in drawn[:4]} == {one.kind for one in drawn[4:]} == set(KINDS)
        assert all(one.target != next_one.target for one, next_one in pairwise(drawn))


def test_pauses_stay_below_the_longest() -> None:
    """Pauses differ and keep to their limit; a lone target is chosen again and again."""
    drawn = draw(3, KINDS, ("only",), 20, 2.0)
    assert {one.target for one in drawn} == {"only"}
    assert len({one.pause_seconds for one in drawn}) > 10
    assert all(0 <= one.pause_seconds <= 2.0 for one in drawn)


def test_the_record_holds_the_seed_and_the_schedule(tmp_path: Path) -> None:
    """What was drawn can be read back from the record as it was."""
    events = EventLog(tmp_path / "events.jsonl")
    drawn = draw(5, KINDS, TARGETS, 3)
    recorded(5, drawn, events)
    events.close()
    (event,) = read_events(tmp_path / "events.jsonl")
    assert (event.source, event.kind, event.data["seed"]) == ("schedule", "drawn", 5)
    assert tuple(Planned(**fault) for fault in event.data["faults"]) == drawn
