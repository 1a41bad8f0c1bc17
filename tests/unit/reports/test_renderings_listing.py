"""The timeline as a list: what is drawn is there in words, and what is left out is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reports import publish
from reports.evidence import Evidence
from reports.judge import judge
from reports.timeline import listing as module
from reports.timeline.build import timeline
from reports.timeline.listing import Entry, listing
from reports.timeline.model import Bar, Failures, Gaps, Row, Timeline
from tests.unit.reports.records import Record
from tests.unit.reports.timeline import S

HOSTILE = "<script>alert(1)</script>\x1b[31m"


def of_gaps(*seconds: float, limits: list[float] | None = None, left_out: int = 0) -> Timeline:
    """A timeline with gaps of one stream, ten seconds apart, of a bar and of a failure."""
    begins = np.arange(len(seconds), dtype=np.int64) * 10 * S
    ends = begins + np.array([round(one * S) for one in seconds], np.int64)
    allowed = None if limits is None else np.array(limits, np.float64)
    gaps = Gaps("portal-a", "vm0", begins, ends, 0.1, left_out, allowed)
    bars = (Bar(0, S, 3 * S, "short", HOSTILE, "drain"),)
    failed = (Failures("http-new/portal-a", np.array([2 * S], np.int64), ("3 refused",)),)
    rows = (Row("one", "One", lanes=(HOSTILE,), bars=bars), Row("two", "Two", gaps=(gaps,), failures=failed))
    return Timeline(begin=0, end=100 * S, wall_ns=1_767_225_600 * S, rows=rows)


def test_every_mark_is_listed_by_time() -> None:
    found = listing(of_gaps(1.5, 2.25, 3.0, limits=[2.0, 2.0, float("inf")]))
    assert found.entries == (
        Entry(0, "00:00:00.000", 1.5, "Two", "portal-a", "no answer; 2 s allowed then"),
        Entry(S, "00:00:01.000", 2.0, "One", HOSTILE, HOSTILE),
        Entry(2 * S, "00:00:02.000", None, "Two", "portal-a", "failed: 3 refused"),
        Entry(10 * S, "00:00:10.000", 2.25, "Two", "portal-a", "no answer; 2 s allowed then, which is exceeded"),
        Entry(20 * S, "00:00:20.000", 3.0, "Two", "portal-a", "no answer; no limit holds for it"),
    )
    assert found.left_out == ()


def test_the_longest_are_kept_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are not even drawn."""
    monkeypatch.setattr(module, "MOST", 2)
    found = listing(of_gaps(1.0, 3.0, 2.0, 0.5, left_out=7))
    assert [one.seconds for one in found.entries if one.told == "no answer"] == [3.0, 2.0]
    assert found.left_out == (("Two", 9),)


def test_nothing_that_is_drawn_is_missing(record: Record, tmp_path: Path) -> None:
    """As many entries as bars, gaps and failures."""
    record.silence("http-new/portal-a", 8.0, 11.5)
    drawn = timeline(Evidence.of(record.write(tmp_path / "run-1")))
    marks = sum(
        len(row.bars) + sum(len(gaps.begins) for gaps in row.gaps) + sum(len(one.times) for one in row.failures)
        for row in drawn.drawn
    )
    found = listing(drawn)
    assert len(found.entries) == marks > 20
    assert any(one.of == "portal-a" and (one.seconds or 0) > 3.4 for one in found.entries)


def test_the_page_has_the_list_and_its_words_are_text(record: Record, tmp_path: Path) -> None:
    """A drain of a node of a hostile name is a row of the table, not a script."""
    for event in record.found("drain", "begin"):
        event["object"] = HOSTILE
    case = record.write(tmp_path / "run-1")
    judge(case)
    publish(case.parent)
    page = (case.parent / "report.html").read_text(encoding="utf-8")
    table = page.partition('<details class="listing">')[2].partition("</details>")[0]
    assert "drain of &lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m</td>" in table
    assert "<script" not in table
    assert '<td class="at">00:00:' in table
