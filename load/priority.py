"""Scheduling priority: an observer that waits for a processor would measure the wait and not the service."""

from __future__ import annotations

import ctypes
import os
import sys
from enum import Enum

REALTIME_LEVEL = 10
RAISED_NICE = -10
THREAD_SWITCH_SECONDS = 0.0005
"""How long a background thread may keep the interpreter from the observing one; Python's default is 5 ms."""
TIMER_SLACK_NS = 1
"""Linux may wake a plain process 50 us late; this asks it not to."""
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
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0)
    if wanted is Priority.REALTIME:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_LEVEL))
        except OSError:
            pass  # not permitted here: the next best is tried
        else:
            return f"SCHED_FIFO {REALTIME_LEVEL}"
    try:
        os.setpriority(os.PRIO_PROCESS, 0, RAISED_NICE)
    except OSError:
        return "default (no permission to raise it)"
    return f"nice {RAISED_NICE}"
