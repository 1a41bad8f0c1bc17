"""The main thread broken off: once, by whatever comes first, and with that error whatever healing meets."""

from __future__ import annotations

import signal
import threading

import pytest

from drainproof.clock import SystemClock
from drainproof.interruption import Interruption, RunStoppedError, interruptible

FIRST, SECOND = RunStoppedError("the first"), RunStoppedError("the second")


def told(interruption: Interruption, error: RunStoppedError) -> None:
    thread = threading.Thread(target=interruption.because, args=(error,))
    thread.start()
    thread.join()


def test_a_block_is_broken_off_once_even_through_another_inside_of_it() -> None:
    """What comes second finds the healing of the first under way, and lets it be."""
    healed: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    stopped = pytest.raises(RunStoppedError, match="the first")
    with stopped, interruptible() as outer, interruptible() as inner:
        try:
            told(outer, FIRST)
            SystemClock().sleep(20)
            pytest.fail("it was not broken off")
        finally:
            told(inner, SECOND)
            SystemClock().sleep(0.05)
            healed.append("healed")
    assert healed == ["healed"]
    assert signal.getsignal(signal.SIGUSR1) is before


def test_what_healing_meets_hides_not_why_it_was_broken_off() -> None:
    """The error of a node that is left to another run came after, and stays its context."""
    stopped = pytest.raises(RunStoppedError, match="the first")
    with stopped as caught, interruptible() as interruption:
        try:
            told(interruption, FIRST)
            SystemClock().sleep(20)
        finally:
            raise ValueError("the node is another's")
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_is_found_as_the_block_ends_is_raised_all_the_same() -> None:
    with pytest.raises(RunStoppedError, match="the first"), interruptible() as interruption:
        interruption.error = FIRST


def test_errors_of_the_block_pass_when_nothing_has_broken_it_off() -> None:
    with pytest.raises(ValueError, match="its own"), interruptible():
        raise ValueError("its own")
