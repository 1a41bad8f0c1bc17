"""Since when a claim is bad, after which good run, and how often."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.trend.episodes import QUIET, Share, State, standing
from reports.verdict import Verdict

LETTERS = {"p": Verdict.PASS, "f": Verdict.FAIL, "u": Verdict.UNKNOWN}


def verdicts(letters: str) -> list[Verdict]:
    return [LETTERS[letter] for letter in letters]


def test_all_good() -> None:
    told = standing(verdicts("pppppp"))
    assert (told.state, told.episode, told.undecided_since) == (State.GOOD, None, None)


def test_bad_since_the_first_run_after_the_last_good_one() -> None:
    told = standing(verdicts("ppppufff"))
    assert told.state is State.BAD
    assert told.episode is not None
    assert (told.episode.first_bad, told.episode.last_good, told.episode.in_a_row) == (5, 3, 3)
    assert told.episode.share == Share(3, 3)


def test_flaky_since_its_first_failure() -> None:
    told = standing(verdicts("p" * 12 + "fppfpf"))
    assert told.state is State.FLAKY
    assert told.episode is not None
    assert (told.episode.first_bad, told.episode.last_good, told.episode.in_a_row) == (12, 11, 1)
    assert told.episode.share == Share(3, 6)


def test_a_failure_is_flaky_until_it_was_quiet_for_long() -> None:
    assert standing(verdicts("ppf" + "p" * (QUIET - 1))).state is State.FLAKY
    assert standing(verdicts("ppf" + "p" * QUIET)).state is State.GOOD


def test_an_older_episode_is_over() -> None:
    told = standing(verdicts("ff" + "p" * QUIET + "pf"))
    assert told.episode is not None
    assert (told.episode.first_bad, told.episode.share) == (QUIET + 3, Share(1, 1))


def test_never_good() -> None:
    told = standing(verdicts("ufff"))
    assert told.episode is not None
    assert told.episode.last_good is None
    assert told.state is State.BAD


def test_unknown_in_the_newest_runs_is_undecided() -> None:
    told = standing(verdicts("ppuu"))
    assert (told.state, told.undecided_since) == (State.UNDECIDED, 2)
    assert standing(verdicts("uu")).undecided_since == 0


def test_unknown_does_not_clear_a_failure() -> None:
    assert standing(verdicts("ppffu")).state is State.BAD


def test_the_interval_of_clopper_and_pearson() -> None:
    """Values of the exact interval, as any table has them."""
    assert Share(0, 10).interval == pytest.approx((0, 0.3085), abs=1e-4)
    assert Share(3, 10).interval == pytest.approx((0.0667, 0.6525), abs=1e-4)
    assert Share(10, 10).interval == pytest.approx((0.6915, 1), abs=1e-4)


@given(st.text("pfu", min_size=1, max_size=40))
def test_an_episode_begins_bad_and_after_a_pass(letters: str) -> None:
    told = standing(verdicts(letters))
    decided = letters.rstrip("u")
    if decided.endswith("f"):
        assert told.state in (State.BAD, State.FLAKY)
    if told.episode is not None:
        assert letters[told.episode.first_bad] == "f"
        assert told.episode.last_good is None or letters[told.episode.last_good] == "p"
        after = [letter for letter in letters[told.episode.first_bad :] if letter != "u"]
        assert told.episode.share == Share(after.count("f"), len(after))
        assert "p" * QUIET not in "".join(after)
    else:
        assert "f" not in letters.replace("u", "")[-QUIET:]
