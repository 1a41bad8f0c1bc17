"""The main thread broken off from another one that has seen why the run must not go on; what it changed is healed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from drainproof.errors import CannotRunError


class RunStoppedError(CannotRunError):
    """The run is stopped in the middle, what it has changed is healed and undone, and no other case is begun."""


@dataclass
class Interruption:
    """The handler of SIGUSR1 for the length of a block; whatever is found first is raised, and only once.

    A second one would break off the healing that the first has begun.
    """

    error: RunStoppedError | None = None
    """Why the block is broken off."""
    _raised: bool = field(default=False, repr=False)

    def because(self, error: RunStoppedError) -> None:
        """Break the main thread off wherever it is, as Ctrl-C would; called from another thread."""
        self.error = self.error or error
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def __call__(self, _number: int, _frame: object) -> None:
        if self.error is not None and not self._raised:
            self._raised = True
            raise self.error


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """A block of the main thread that can be broken off; one inside of another shares its interruption.

    Raises the RunStoppedError that it was broken off for: at its end when the block was just ending, and in place of
    any other error that healing has met on the way.
    """
    before = signal.getsignal(signal.SIGUSR1)
    if isinstance(before, Interruption):
        yield before
        return
    interruption = Interruption()
    signal.signal(signal.SIGUSR1, interruption)
    try:
        yield interruption
    except Exception as error:
        if interruption.error is None or error is interruption.error:
            raise
        raise interruption.error from error
    finally:
        signal.signal(signal.SIGUSR1, before)
    if interruption.error is not None:
        raise interruption.error
