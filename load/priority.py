"""Scheduling priority: an observer that waits for a processor would measure the wait and not the service."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from enum import Enum

from drainproof.errors import CannotRunError

REALTIME_LEVEL = 10
FEWEST_TO_PIN = 4
RAISED_NICE = -10
THREAD_SWITCH_SECONDS = 0.0005
"""How long a background thread may keep the interpreter from the observing one; Python's default is 5 ms."""
TIMER_SLACK_NS = 1
"""Linux may wake a plain process 50 us late; this asks it not to."""
PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29


class Priority(Enum):
    """What an observer asks for."""

    PLAIN = "plain"
    RAISED = "raised"
    REALTIME = "realtime"


def take_priority(wanted: Priority) -> str:
    """Take as much of the wanted priority as the system grants, for this thread and those it starts; says which."""
    if wanted is Priority.PLAIN:
        return "default"
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    tighten_timers()
    if wanted is Priority.REALTIME:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_LEVEL))
        except OSError:
            pass  # not permitted here: the next best is tried
        else:
            return f"SCHED_FIFO {REALTIME_LEVEL}"
    return _nice(RAISED_NICE)


def take_level(level: str) -> str:
    """Take a priority by its word: `plain`, `raised`, `realtime` or `nice:N`; says what was granted.

    Raises CannotRunError when there is no such level.
    """
    word, _, value = level.partition(":")
    try:
        if word == "nice":
            return _nice(int(value))
        return take_priority(Priority(level))
    except ValueError:
        raise CannotRunError(
            f"There is no priority {level!r}; choose plain, raised, realtime or nice:N with a number N."
        ) from None


def tighten_timers() -> None:
    """Ask that this thread be woken when it is due, not up to 50 us later."""
    _prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS)


def end_with_parent() -> None:
    """Have this process told to end when the one that started it is gone."""
    parent = os.getppid()
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def pin(place: int) -> int | None:
    """Stay on one processor, counted from the last allowed one backwards; says which, or None when there are few.

    Where processors are few, staying on one means taking it from whoever works there, although another may be idle.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < FEWEST_TO_PIN:
        return None
    processor = allowed[-1 - place % len(allowed)]
    os.sched_setaffinity(0, {processor})
    return processor


def _nice(value: int) -> str:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
    except OSError:
        return "default (no permission to raise it)"
    return f"nice {value}"


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
