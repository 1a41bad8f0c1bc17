"""A signal ends a start where it waits, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lab.lifecycle.interruption import SIGNALS, Interruptions

ENDING = """
import os, signal
from lab.lifecycle.interruption import Interruptions
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)
late, interruptions = Late(), Interruptions()
interruptions.postpone()
"""
"""A program that gets a signal when its interpreter is about to be gone."""


@pytest.fixture
def interruptions() -> Iterator[Interruptions]:
    """Postponed ones; the process's own handlers are put back."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    postponed = Interruptions()
    postponed.postpone()
    yield postponed
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_cancels_the_work_where_it_waits(interruptions: Interruptions, number: int) -> None:
    """The work can tidy up, and the caller sees KeyboardInterrupt."""
    tidied = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        tidied.append("began")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            tidied.append("cancelled")
            raise

    with pytest.raises(KeyboardInterrupt):
        interruptions.run(work)
    assert tidied == ["began", "cancelled"]


def test_a_signal_before_the_work_is_not_lost(interruptions: Interruptions) -> None:
    """The work does not even begin."""

    async def work() -> None:
        pytest.fail("the work began")

    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        interruptions.run(work)


def test_a_signal_after_the_work_comes_too_late(interruptions: Interruptions) -> None:
    """The result is returned, and the signal is noted and no more."""

    async def work() -> str:
        return "done"

    assert interruptions.run(work) == "done"
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruptions.noted


def test_a_signal_while_the_interpreter_ends_comes_too_late() -> None:
    """The interpreter puts the default handlers back before it is gone: a handler of its own would not do."""
    ends = {
        code: subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode
        for code in (ENDING, f"{ENDING}interruptions.end()")
    }
    assert list(ends.values()) == [-signal.SIGTERM, 0]
