"""The 99th percentile of the clients' latency, undisturbed and from the first drain or fault on, and what failed.

Latency runs from the moment an operation was due. One that failed counts with the time-out, however soon it failed:
leaving it out would make a service that refuses quickly look like a quick one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from drainproof.record import Outcome, Samples
from reports.evidence import Evidence
from reports.figures.disturbed import asked_streams, cut_short, disturbed
from reports.streams import SQL, kind_of, started_in
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
            sent = [started_in(evidence.samples[stream], span) for stream in streams if stream not in missing]
            doubt = cut_short(evidence) if phase == DISTURBED else ""
            yield _p99(f"{axis}, {phase}", kind, sent, missing, (evidence.load.timeout_seconds, doubt))
        yield _failed(kind, sent, missing, doubt)


def _p99(axis: str, kind: str, sent: list[Samples], missing: list[str], how: tuple[float, str]) -> Figure:
    timeout, doubt = how
    count = sum(map(len, sent))
    reason = _lacking(missing)
    if not reason and count < ENOUGH:
        reason = f"{count} operations are too few for a 99th percentile, {ENOUGH} are needed"
    if reason:
        return Figure(axis=axis, object=kind, value=None, unit="s", reason=reason)
    took = np.concatenate([_seconds(one, timeout) for one in sent])
    value = float(np.percentile(took, 99))
    return Figure(axis=axis, object=kind, value=value, unit="s", reason=doubt, at_least=bool(doubt))


def _seconds(sent: Samples, timeout: float) -> npt.NDArray[np.float64]:
    took = (sent.end_ns - sent.intended_ns) / 1e9
    found: npt.NDArray[np.float64] = np.where(sent.outcome == Outcome.OK, took, np.maximum(took, timeout))
    return found


def _failed(kind: str, sent: list[Samples], missing: list[str], doubt: str) -> Figure:
    count = sum(map(len, sent))
    reason = _lacking(missing) or ("" if count else "the record has no operation")
    if reason:
        return Figure(axis=FAILED, object=kind, value=None, unit="share", reason=reason)
    failed = sum(int((one.outcome != Outcome.OK).sum()) for one in sent)
    return Figure(
        axis=FAILED, object=kind, value=failed / count, unit="share", reason=doubt, resolution=1 / count,
        at_least=bool(doubt),
    )


def _lacking(missing: list[str]) -> str:
    return f"the record has no sample of {', '.join(missing)}" if missing else ""
