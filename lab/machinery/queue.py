"""A work queue of object keys: de-duplicated, with deadlines and retry back-off, as controllers use it."""

from __future__ import annotations

import asyncio
from collections import deque

RETRY_BASE_SECONDS = 0.02
RETRY_MAX_SECONDS = 30.0


class WorkQueue:
    """Keys waiting for work; a key waits at most once, and at its earliest deadline."""

    def __init__(self) -> None:
        self._ready: deque[str] = deque()
        self._waiting: set[str] = set()
        self._timers: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[str, int] = {}
        self._wake = asyncio.Event()

    def add(self, key: str) -> None:
        if key in self._waiting:
            return
        self._waiting.add(key)
        self._ready.append(key)
        self._wake.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Add the key when the time has passed; an earlier deadline of the same key wins."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(seconds, 0)
        known = self._timers.get(key)
        if known and known[0] <= due:
            return
        if known:
            known[1].cancel()
        self._timers[key] = (due, loop.call_at(due, self._due, key))

    def retry(self, key: str) -> float:
        """Add the key after a back-off that doubles with each failure in a row; returns the seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay = min(RETRY_BASE_SECONDS * 2.0**count, RETRY_MAX_SECONDS)
        self.add_after(key, delay)
        return delay

    def forget(self, key: str) -> None:
        """The key's work succeeded: its next failure begins with the shortest back-off."""
        self._failures.pop(key, None)

    async def next(self) -> str:
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = self._ready.popleft()
        self._waiting.discard(key)
        return key

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)
