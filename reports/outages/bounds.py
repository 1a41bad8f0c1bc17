"""Bounds instead of zeros: what may have happened although nothing was seen. Closed forms, each with its source."""

from __future__ import annotations

from scipy import stats

CONFIDENCE = 0.95


def hidden_share(good: int, confidence: float = CONFIDENCE) -> float:
    """The largest share of a window that may have been down although `good` independent probes all succeeded.

    1 - (1 - confidence)^(1/n), close to 3/n at 95 % (the "rule of three"); 1 without any probe.
    """
    return float(1 - (1 - confidence) ** (1 / good)) if good > 0 else 1.0


def failure_rate(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound of Clopper and Pearson on the probability of an event, seen in `events` of `trials`."""
    if trials <= 0 or events >= trials:
        return 1.0
    return float(stats.beta.ppf(confidence, events + 1, trials - events))


def detection_share(length_ns: int, period_ns: int) -> float:
    """How likely a periodic prober sees an outage of random phase: D/P, and 1 from one period on."""
    return min(1.0, length_ns / period_ns)


def sure_length(rate: float, probers: int = 1, confidence: float = 0.99) -> float:
    """The outage in seconds that probers of independent phase, `rate` per second together, see so surely.

    (N/r)(1 - (1 - confidence)^(1/N)): 0.99/r for one periodic or N staggered probers, 4.6/r for many independent ones.
    """
    return float(probers / rate * (1 - (1 - confidence) ** (1 / probers)))
