"""The loop of the stopwatch: one thread that sends what is due, takes what arrives, and notes when it was away.

A probe that was not sent on time, and an answer that was not taken on time, accuse nobody: whenever the loop wakes
later than it meant to, or its own work kept it from what was due, it writes the time in which it was away.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from heapq import heapify, heapreplace
from typing import Protocol

from drainproof.record import Outcome
from load.planes.book import Book

TOLERANCE_NS = 300_000
"""Waking later than this is being away."""
LONGEST_WAIT_NS = 10_000_000
"""How long the loop sleeps at most; what is due, the control stream first of all, wakes it more often."""
NEVER_NS = 1 << 62
EVENTS_AT_ONCE = 16
_OK = int(Outcome.OK)


class Times(Protocol):
    """When a task is due."""

    due_ns: int

    def take(self, now_ns: int, /) -> int:
        """Take what is due and go on to the first time after now."""


class Task(Protocol):
    """Something that the loop does again and again."""

    @property
    def times(self) -> Times:
        """When it is due."""

    def fire(self, due_ns: int, /) -> None:
        """It is due."""


class Loop:
    """Fires tasks when they are due and hands descriptors that are ready to those who watch them."""

    def __init__(self, book: Book, away: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._book = book
        self._away = away
        self._clock = clock
        self._waking, self._stamped = select.epoll(), select.epoll()
        self._waiting = (self._waking.fileno(),)
        self._handlers: dict[int, Callable[[int], object]] = {}
        self._tasks: list[Task] = []

    def watch(self, fd: int, handler: Callable[[int], object], events: int = select.EPOLLIN) -> None:
        """Call the handler with the descriptor as soon as it is ready; it takes a bounded share."""
        if fd in self._handlers:
            self._waking.modify(fd, events)
        else:
            self._waking.register(fd, events)
        self._handlers[fd] = handler

    def collect(self, fd: int, handler: Callable[[int], object]) -> None:
        """Call the handler when the loop is awake anyway and something has arrived, of which the kernel knows when.

        Being woken costs more than the work itself, and would tell nothing more.
        """
        self._stamped.register(fd, select.EPOLLIN)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """A watched descriptor is about to be closed."""
        if self._handlers.pop(fd, None) is not None:
            self._waking.unregister(fd)

    def add(self, *tasks: Task) -> None:
        """Have tasks fired; before the loop runs."""
        self._tasks.extend(tasks)

    def run(self, stopped: Callable[[], bool], *, sending: bool = True) -> None:
        """Work until told to stop; without sending it only takes what arrives."""
        clock, waking, stamped = self._clock, self._waking.poll, self._stamped.poll
        due = self._due(sending)
        seen, promised = clock(), due[0][0]
        while not stopped():
            now = clock()
            if now > promised + TOLERANCE_NS:
                self._was_away(seen, now)
            seen = now
            while due[0][0] <= now:
                self._fire(due, now)
            promised = min(due[0][0], now + LONGEST_WAIT_NS)
            while (ready := stamped(0, EVENTS_AT_ONCE)) and not self._take(ready, promised):
                pass
            now = clock()
            if now > promised + TOLERANCE_NS:
                self._was_away(seen, now)
            seen = now
            if now < promised and not select.select(self._waiting, (), (), (promised - now) / 1e9)[0]:
                continue
            now = clock()
            if now > promised + TOLERANCE_NS:
                self._was_away(seen, now)
            seen = now
            self._take(waking(0, EVENTS_AT_ONCE), promised)
        now = clock()
        if now > promised + TOLERANCE_NS:
            self._was_away(seen, now)

    def close(self) -> None:
        """Let go of the descriptors."""
        self._waking.close()
        self._stamped.close()

    def _due(self, sending: bool) -> list[tuple[int, int]]:
        due = [(task.times.due_ns, number) for number, task in enumerate(self._tasks)] if sending else []
        heapify(due)
        return due or [(NEVER_NS, 0)]

    def _fire(self, due: list[tuple[int, int]], now_ns: int) -> None:
        number = due[0][1]
        task = self._tasks[number]
        taken = task.times.take(now_ns)
        heapreplace(due, (task.times.due_ns, number))
        task.fire(taken)

    def _take(self, ready: list[tuple[int, int]], until_ns: int) -> bool:
        """Take of what has arrived until something is due again, and say so; the next poll tells what is left over."""
        for fd, _ in ready:
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(fd)
            if self._clock() >= until_ns:
                return True
        return False

    def _was_away(self, seen_ns: int, now_ns: int) -> None:
        self._book.append(self._away, seen_ns, seen_ns, now_ns, _OK)
