"""Priorities by their words, and staying on a processor; in processes of their own, which they change."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from drainproof.errors import CannotRunError
from load.priority import take_level


def said(statement: str) -> str:
    code = f"import os; from load.priority import *; {statement}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_level_is_taken_and_named() -> None:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = min(19, before + 3)
    assert said(f"print(take_level('nice:{wanted}'), os.getpriority(os.PRIO_PROCESS, 0))") == f"nice {wanted} {wanted}"
    assert said("print(take_level('plain'))") == "default"


@pytest.mark.parametrize("level", ["highest", "nice:", "nice:much", ""])
def test_a_level_that_does_not_exist_is_refused(level: str) -> None:
    with pytest.raises(CannotRunError, match="There is no priority"):
        take_level(level)


def test_processors_are_counted_from_the_last_one_backwards_unless_they_are_few() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    found = said("print(pin(0), sorted(os.sched_getaffinity(0)))")
    expected = f"{allowed[-1]} [{allowed[-1]}]" if len(allowed) >= 4 else f"None {allowed}"
    assert found == expected
