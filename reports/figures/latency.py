"""The 99th percentile of the clients' latency, undisturbed and from the first drain or fault on, and what failed.

Latency runs from the moment an operation was due, and what was due counts whether it was sent or not: a writer that
waits for an answer skips what is due meanwhile. One that failed counts with the time-out, however soon it failed:
leaving it out would make a service that refuses quickly look like a quick one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drainproof.record.spool import LATE_MOST
from reports.evidence import Evidence
from reports.figures.disturbed import asked_streams, cut_short, disturbed
from reports.figures.due import Due, due_in
from reports.spans import Span
from reports.streams import SQL, kind_of, period
from reports.verdict import Figure

CLIENTS, COMMIT, FAILED = "p99 latency", "commit latency p99", "failed operations"
DISTURBED = "disturbed"
ENOUGH = 100
"""With fewer operations a 99th percentile is no more than their maximum."""


def figures(evidence: Evidence) -> Iterator[Figure]:
    """Of each kind of stream, over all that it asks: p99 in the baseline, p99 while disturbed, and what failed then.

    Seconds, and a share. The ledger's writes are transactions that every member certifies: their latency is that of a
    commit.
    """
    spans = {"baseline": evidence.window.baseline, DISTURBED: disturbed(evidence)}
    for kind in dict.fromkeys(map(kind_of, asked_streams(evidence))):
        streams = [stream for stream in asked_streams(evidence) if kind_of(stream) == kind]
        missing = [stream for stream in streams if stream not in evidence.samples]
        axis = COMMIT if kind == SQL else CLIENTS
        for phase, span in spans.items():
            found = [_due(evidence, stream, span) for stream in streams if stream not in missing]
            doubt = cut_short(evidence) if phase == DISTURBED else ""
            yield _p99(f"{axis}, {phase}", kind, found, missing, doubt)
        yield _failed(kind, found, missing, doubt)


def _due(evidence: Evidence, stream: str, span: Span) -> Due:
    every = round(period(evidence, stream) * 1e9)
    return due_in(evidence.samples[stream], span, every, evidence.load.timeout_seconds)


def _p99(axis: str, kind: str, found: list[Due], missing: list[str], doubt: str) -> Figure:
    count = sum(map(len, found))
    reason = _lacking(missing)
    if not reason and count < ENOUGH:
        reason = f"{count} operations are too few for a 99th percentile, {ENOUGH} are needed"
    if reason:
        return Figure(axis=axis, object=kind, value=None, unit="s", reason=reason)
    if not doubt and any(one.at_least for one in found):
        doubt = f"an operation was sent more than {LATE_MOST / 1e9:.1f} s late; the record does not hold by how much"
    value = float(np.percentile(np.concatenate([one.took for one in found]), 99))
    return Figure(axis=axis, object=kind, value=value, unit="s", reason=doubt, at_least=bool(doubt))


def _failed(kind: str, found: list[Due], missing: list[str], doubt: str) -> Figure:
    count = sum(map(len, found))
    reason = _lacking(missing) or ("" if count else "the record has no operation")
    if reason:
        return Figure(axis=FAILED, object=kind, value=None, unit="share", reason=reason)
    failed = sum(int(one.failed.sum()) for one in found)
    return Figure(
        axis=FAILED, object=kind, value=failed / count, unit="share", reason=doubt, resolution=1 / count,
        at_least=bool(doubt),
    )


def _lacking(missing: list[str]) -> str:
    return f"the record has no sample of {', '.join(missing)}" if missing else ""
