"""What the certificate of a run with faults shows, and that no foreign string in a fault can steer it."""

from __future__ import annotations

import io
from pathlib import Path

from reports import publish
from reports.judge import judge
from tests.unit.reports.fault_records import fault_record
from tests.unit.reports.records import Record

HOSTILE = "<script>alert(1)</script>\x1b[31m{{7*7}}"


def page(record: Record, run: Path) -> str:
    judge(record.write(run))
    publish(run, io.StringIO())
    return (run / "report.html").read_text(encoding="utf-8")


def test_page_shows_the_fault_and_the_streams(tmp_path: Path) -> None:
    """The fault lies on the timelines, and every stream stands with its own limit."""
    text = page(fault_record(), tmp_path / "run-1")
    assert text.count("power-off of node-b") >= 4
    assert '<th scope="row">http-new/portal-a</th>' in text
    assert "Streams</h2>" in text


def test_foreign_strings_of_a_fault_are_escaped(tmp_path: Path) -> None:
    """What a cluster put into a fault's words is shown and not run."""
    record = fault_record()
    record.found("fault", "begin")[0]["data"] |= {"fault": HOSTILE, "target": HOSTILE}
    record.found("fault", "proof")[0]["data"] |= {"happened": False, "reasons": [HOSTILE]}
    text = page(record, tmp_path / "run-1")
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "alert(1)" in text
