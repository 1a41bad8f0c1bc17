"""The plan of the trouble: what a request meets is drawn from the seed and the number of the request, nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

KINDS = (
    "delay", "busy", "error", "error-after", "reset", "reset-after", "cut", "watch-cut", "watch-expired", "outage",
)
"""What can happen to a request.

delay: it is passed on late. busy: 429 with Retry-After. error: 500, 502, 503 or 504 in place of passing it on;
error-after: in place of the answer. reset, reset-after: the connection is reset before it was passed on, or in place of
the answer. cut: it ends within the answer. watch-cut: a watch is reset after a while. watch-expired: a watch is told
410, as a status or as an event. outage: nobody listens for some seconds and every connection is reset.
"""
_OF_WATCHES = frozenset({"delay", "busy", "error", "reset", "watch-cut", "watch-expired"})
_OF_OTHERS = frozenset(KINDS) - {"watch-cut", "watch-expired"}
_WEIGHTS = {"outage": 0.2, "delay": 2.0}
"""Of all others 1: an outage hits whoever asks meanwhile."""
_CODES = (500, 502, 503, 504)
LONGEST_DELAY_SECONDS = 3.0
_OUTAGE_SECONDS = (1.0, 12.0)
"""As long as an API server may take that is restarted."""
_WATCH_SECONDS = (0.2, 20.0)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What one request meets."""

    kind: str
    code: int = 0
    """The HTTP status of what is answered instead."""
    seconds: float = 0.0
    """How long it is delayed, a watch lives, an outage lasts, or what Retry-After says."""
    share: float = 0.0
    """How much of the answer is sent before it is cut; below a half, a watch is expired by a status."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Trouble for a share of all requests."""

    seed: int
    rate: float
    """The share of requests that meet trouble, 0 to 1."""
    kinds: Sequence[str] = KINDS

    def trouble(self, number: int, *, watch: bool) -> Trouble | None:
        """What the request of that number meets, counted from the proxy's start."""
        drawn = random.Random(f"{self.seed}/{number}")
        if drawn.random() >= self.rate:
            return None
        fitting = [kind for kind in self.kinds if kind in (_OF_WATCHES if watch else _OF_OTHERS)]
        if not fitting:
            return None
        [kind] = drawn.choices(fitting, [_WEIGHTS.get(kind, 1.0) for kind in fitting])
        code, share = drawn.choice(_CODES), drawn.random()
        if kind == "busy":
            return Trouble(kind, 429, drawn.choice((0, 1, 2)))
        if kind in ("error", "error-after"):
            return Trouble(kind, code)
        if kind == "watch-expired":
            return Trouble(kind, 410, share=share)
        return Trouble(kind, seconds=_seconds(kind, drawn), share=share)


def _seconds(kind: str, drawn: random.Random) -> float:
    bounds = {"delay": (0.0, LONGEST_DELAY_SECONDS), "outage": _OUTAGE_SECONDS, "watch-cut": _WATCH_SECONDS}
    return round(drawn.uniform(*bounds[kind]), 3) if kind in bounds else 0.0
