"""A certification killed at a random moment, on a cluster that stays up, is undone from another machine."""

from __future__ import annotations

import random

import pytest

from bench.killing import PROFILE, TEST, ground, kill_one
from drainproof.settings import load_profile

LAB, API_PORT = "killed", 16780
KILLS = 2
pytestmark = pytest.mark.timeout(1200)


def test_the_cluster_is_as_it_was_after_each_kill() -> None:
    """Everything that can be listed, twice: the second time the cleanup is killed as well, and called again."""
    chance, lease = random.Random(20), load_profile(str(PROFILE), PROFILE.parent).budgets.lease
    with ground(LAB, API_PORT, PROFILE) as on:
        for number in range(KILLS):
            done = kill_one(on, TEST, chance.uniform(20, 100), chance.uniform(3, 10) if number % 2 else None, lease)
            assert not done.trouble, done.row(number)
