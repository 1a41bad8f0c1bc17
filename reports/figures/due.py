"""What was due of a stream, whether it was sent or not: a writer that waits for an answer skips what is due meanwhile.

While a server hangs, such a writer sends nothing, and one slow write would stand for all that its clients wanted. Each
skipped slot therefore counts, with its own time from when it was due until the next write was answered, as clients who
did not wait for each other would have seen it (the correction for coordinated omission of wrk2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from drainproof.record import Outcome, Samples
from drainproof.record.spool import LATE_MOST
from reports.spans import Span
from reports.streams import SQL, kind_of, started_in

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Due:
    """What was due of a stream: seconds until it was answered or had failed, and whether it failed."""

    took: npt.NDArray[np.float64]
    failed: npt.NDArray[np.bool_]
    at_least: bool = False
    """Whether some of it was sent so late that the record cannot tell for how long it had been due."""

    def __len__(self) -> int:
        return len(self.took)


def due_in(samples: Samples, span: Span, period_ns: int, timeout: float) -> Due:
    """What was sent in a span, and what was due in it and skipped; times in seconds, those of a failure at least the
    time-out.

    A skipped slot fared as the write after it did, and failed if that was answered only after the slot's own time-out.
    What was skipped because the writer itself was late is not counted: nobody waited for the service.
    """
    if kind_of(samples.stream) != SQL:
        sent = started_in(samples, span)
        return _due(sent.intended_ns, sent.end_ns, sent.outcome != Outcome.OK, timeout, bool(_saturated(sent).any()))
    samples = _whole(samples, period_ns)
    sent = started_in(samples, span)
    slots, rows = _skipped(samples, period_ns)
    within = (slots >= span.begin) & (slots < span.end)
    slots, rows = slots[within], rows[within]
    late = samples.end_ns[rows] - slots > timeout * 1e9
    return _due(
        np.concatenate((sent.intended_ns, slots)),
        np.concatenate((sent.end_ns, samples.end_ns[rows])),
        np.concatenate((sent.outcome != Outcome.OK, late | (samples.outcome[rows] != Outcome.OK))),
        timeout,
    )


def _due(intended: Times, end: Times, failed: npt.NDArray[np.bool_], timeout: float, at_least: bool = False) -> Due:
    took = (end - intended) / 1e9
    return Due(np.where(failed, np.maximum(took, timeout), took), failed, at_least)


def _saturated(samples: Samples) -> npt.NDArray[np.bool_]:
    """What was sent so late that a sample does not hold how late: its due time is only known to lie no later."""
    found: npt.NDArray[np.bool_] = samples.start_ns - samples.intended_ns >= LATE_MOST
    return found


def _whole(samples: Samples, period_ns: int) -> Samples:
    """The writes of one writer with their true due times: each was due in the first slot after the one before went out.

    Of the first one in a record nothing is known but what it tells itself.
    """
    intended = samples.intended_ns.copy()
    for row in map(int, np.flatnonzero(_saturated(samples))):
        if row:
            due = _next_slot(int(intended[row - 1]), int(samples.start_ns[row - 1]), period_ns)
            intended[row] = min(int(intended[row]), due)
    return Samples(samples.stream, intended, samples.start_ns, samples.end_ns, samples.outcome, samples.key)


def _skipped(samples: Samples, period_ns: int) -> tuple[Times, Times]:
    """The slots that passed while a write was under way, and for each the row of the write after it.

    Those that passed during the last one fared as that did: none came after it.
    """
    if not len(samples):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    answered = np.maximum.accumulate(samples.end_ns)
    last = _next_slot(int(samples.intended_ns[-1]), int(samples.start_ns[-1]), period_ns) - period_ns
    due = np.append(samples.intended_ns, last)
    until = np.append(np.minimum(samples.start_ns[1:], answered[:-1]), answered[-1])
    counts = np.concatenate(([0], np.maximum(0, (until - due[1:]) // period_ns)))
    places = np.repeat(np.arange(len(due)), counts)
    ordinal = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    slots: Times = due[places] + ordinal * period_ns
    return slots, np.minimum(places, len(samples) - 1)


def _next_slot(intended: int, start: int, period_ns: int) -> int:
    """When the write was due after one that was due and sent at such times."""
    return intended + ((start - intended) // period_ns + 1) * period_ns
