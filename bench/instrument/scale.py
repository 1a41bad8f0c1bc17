"""How much is measured: the full bench, or a short one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """The sizes of every part."""

    name: str
    baseline_seconds: int
    blackouts: int
    short_blackouts: int
    hog_seconds: int
    cost_seconds: int
    peer_blackouts: int
    """Slots with a blackout on a quiet machine, and half as many beside hogs."""
    rows: int
    migrations: int


FULL = Scale("full", 10, 1000, 400, 600, 20, 40, 100_000_000, 30)
SHORT = Scale("short", 5, 40, 40, 20, 3, 4, 1_000_000, 5)
