"""SIGINT and SIGTERM end a start only while it waits, where asyncio can stop cleanly.

An exception that a signal handler raises in the middle of a library leaves its locks held and its tasks half-made, and
the clean-up can then wait for them for ever.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Result = TypeVar("Result")


@dataclass
class Interruptions:
    """The signals that came since they were postponed; only the main thread may use it."""

    noted: bool = False
    cancel: Callable[[], object] | None = None
    """Ends the work that is waiting now."""

    def postpone(self) -> None:
        """From now on a signal is noted, and has an effect on `run` alone."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def end(self) -> None:
        """From now on a signal has no effect, not even while the interpreter ends, which forgets handlers before."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def run(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """Run the work to its end; raises KeyboardInterrupt when a signal, earlier or meanwhile, cancelled it."""
        try:
            return asyncio.run(self._cancellable(work))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        finally:
            self.cancel = None

    async def _cancellable(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.noted:
            raise asyncio.CancelledError
        return await work()

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.noted = True
        if self.cancel:
            self.cancel()
