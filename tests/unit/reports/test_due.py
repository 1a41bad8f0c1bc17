"""What was due of a stream: a writer that waits for answers is told of as clients would fare who do not wait."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drainproof.record import Outcome, Samples
from drainproof.record.spool import LATE_MOST
from load.schedule import SECOND, Schedule
from reports.evidence import Evidence
from reports.figures import figures
from reports.figures.due import due_in
from reports.spans import Span
from reports.verdict import Figure
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.timeline import at, drain_begin

PERIOD, TIMEOUT, QUICK = SECOND // 3, 5.0, 0.01
LAST = 30.0
SPAN = Span(0, round(60 * SECOND))


def answered(sent: float, hangs: tuple[float, float]) -> tuple[float, bool]:
    """When a client that sends then has its answer, or gives up, from a server that hangs for a time."""
    begin, end = hangs
    free = end if begin <= sent < end else sent
    return (sent + TIMEOUT, True) if free - sent >= TIMEOUT else (free + QUICK, False)


def closed_loop(hangs: tuple[float, float], own: tuple[float, float] = (0.0, 0.0)) -> Samples:
    """What the ledger's writer leaves in the record; it does not run itself from `own` on until its end."""
    schedule, rows, now = Schedule(0, PERIOD), [], 0.0
    while (now := max(now, schedule.due_ns / SECOND)) < LAST:
        if own[0] <= now < own[1]:
            now = own[1]
        start = round(now * SECOND)
        intended = schedule.take(start)
        now, failed = answered(now, hangs)
        outcome = Outcome.TIMEOUT if failed else Outcome.OK
        rows.append((max(intended, start - LATE_MOST), start, round(now * SECOND), outcome))
    columns = np.array(rows, np.int64).T
    key = np.arange(len(rows))
    return Samples("sql/a", columns[0], columns[1], columns[2], columns[3].astype(np.int8), key)


@pytest.mark.parametrize("seconds", [0.0, 0.2, 1.0, 4.0, 7.0, 10.0, 12.5])
def test_a_writer_that_waits_is_told_of_as_clients_who_do_not(seconds: float) -> None:
    """Of a server that hangs, whatever the time-out; also where a write was later than a sample can hold."""
    hangs = (3.1, 3.1 + seconds)
    found = due_in(closed_loop(hangs), SPAN, PERIOD, TIMEOUT)
    slots = [number * PERIOD / SECOND for number in range(int(LAST * 3))]
    open_loop = [(answered(slot, hangs), slot) for slot in slots]
    assert len(found) == pytest.approx(len(slots), abs=1)
    assert int(found.failed.sum()) == pytest.approx(sum(failed for (_, failed), _ in open_loop), abs=2)
    took = sorted(end - slot for (end, failed), slot in open_loop if not failed)
    assert float(np.median(np.sort(found.took[~found.failed])[-9:])) == pytest.approx(np.median(took[-9:]), abs=0.4)
    assert not found.at_least


def test_a_hang_is_more_than_one_slow_write() -> None:
    """Ten seconds at three writes a second: thirty that were due, half of them beyond their time-out."""
    hung = due_in(closed_loop((3.1, 13.1)), SPAN, PERIOD, TIMEOUT)
    assert int((hung.took > 1).sum()) == pytest.approx(27, abs=2)
    assert int(hung.failed.sum()) == pytest.approx(15, abs=2)


def test_what_the_writer_itself_missed_accuses_nobody() -> None:
    """Nobody waited for the service meanwhile."""
    found = due_in(closed_loop((0.0, 0.0), own=(3.1, 7.1)), SPAN, PERIOD, TIMEOUT)
    assert len(found) == pytest.approx(3 * (LAST - 4), abs=2)
    assert not found.failed.any()


def test_a_hang_that_does_not_end_counts() -> None:
    """No write comes after it; what was due during the last one is as that was."""
    samples = closed_loop((LAST - 2, 2 * LAST))
    samples.end_ns[-1] = round((LAST + 5) * SECOND)
    found = due_in(samples, SPAN, PERIOD, TIMEOUT)
    assert int(found.failed.sum()) == pytest.approx(3 * 7, abs=1)


def test_only_what_was_due_in_the_span_counts() -> None:
    """The baseline knows nothing of what hung after it."""
    samples = closed_loop((3.1, 8.0))
    before = due_in(samples, Span(0, round(2.9 * SECOND)), PERIOD, TIMEOUT)
    assert (len(before), bool((before.took < 1).all())) == (9, True)


def test_an_observer_that_was_too_late_to_tell_measured_at_least() -> None:
    """It sends whether it was answered or not, and says itself when an operation was due."""
    start = np.array([0, 10], np.int64) * SECOND
    intended = start - np.array([0, LATE_MOST])
    samples = Samples("http-new/a", intended, start, start + 1000, np.zeros(2, np.int8), np.zeros(2, np.int64))
    found = due_in(samples, SPAN, PERIOD, TIMEOUT)
    assert (len(found), found.at_least) == (2, True)


def told(record: Record, folder: Path) -> dict[tuple[str, str], Figure]:
    return {(one.axis, one.object): one for one in figures(Evidence.of(record.write(folder / "run-1")))}


def test_the_figures_count_what_was_due(tmp_path: Path) -> None:
    """A database that hangs for four seconds shows in the percentile of commits, and in the operations that failed."""
    record = good_record()
    begin = drain_begin(0) + 0.5
    for stream in ("sql/portal-a", "sql/portal-b", "sql/portal-c"):
        rows = record.samples[stream]
        hung = [row for row in rows if at(begin) <= row[1] < at(begin + 6.02)]
        hung[0][2], hung[0][3] = at(begin + 6), Outcome.TIMEOUT
        hung[1][1] = hung[1][2] = at(begin + 6.01)
        record.samples[stream] = [row for row in rows if row not in hung[2:]]
    found = told(record, tmp_path)
    latency, failed = found["commit latency p99, disturbed", "sql"], found["failed operations", "sql"]
    assert latency.value is not None
    assert latency.value > 5
    assert failed.value is not None
    assert failed.resolution is not None
    assert failed.value / failed.resolution == pytest.approx(10, abs=1)
    assert not latency.at_least
