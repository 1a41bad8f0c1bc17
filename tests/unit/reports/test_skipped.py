"""Cases that were asked for and did not begin are shown beside the verdicts, and never as certified."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from junitparser import JUnitXml

from drainproof.errors import RecordError
from drainproof.record.run_manifest import SKIPPED, seal_run, verify_run
from reports.judge import judge
from reports.publishing import publish
from reports.skipped import Skipped, skipped
from tests.unit.reports.records import Record

HOSTILE = "no power\x1b[31m <script>alert(1)</script>"


def run_with(record: Record, run: Path, content: object) -> Path:
    """A judged run, of which another case was skipped."""
    judge(record.write(run))
    (run / SKIPPED).write_text(json.dumps(content))
    return run


def test_every_rendering_shows_what_was_skipped(record: Record, tmp_path: Path) -> None:
    """Terminal, page and JUnit name the case and what the target lacks; the words steer none of them."""
    told = {"cases": [{"case": "node_loss", "test": "suites/x.py::test_node_loss", "reason": HOSTILE}]}
    run, stream = run_with(record, tmp_path / "run-1", told), io.StringIO()
    publish(run, stream)
    assert "NOT CERTIFIED (skipped): node_loss: no power" in stream.getvalue()
    page = (run / "report.html").read_text()
    assert "Not certified: skipped" in page
    assert "<code>node_loss</code>" in page
    for text in (stream.getvalue(), page):
        assert "\x1b" not in text
    assert "<script>alert" not in page
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(run / "junit.xml"))}
    assert (suites["node_loss"].tests, suites["node_loss"].skipped) == (1, 1)
    (case,) = suites["node_loss"]
    assert case.result[0].message.startswith("no power")


def test_what_was_skipped_is_sealed(record: Record, tmp_path: Path) -> None:
    """Who takes a line away afterwards would make a part look like the whole."""
    run = run_with(record, tmp_path / "run-1", {"cases": []})
    seal_run(run)
    (run / SKIPPED).write_text("{}")
    assert any(SKIPPED in difference for difference in verify_run(run))


def test_nothing_skipped_is_nothing_shown(record: Record, tmp_path: Path) -> None:
    """As in older records, which have no such file."""
    judge(record.write(tmp_path / "run-1"))
    publish(tmp_path / "run-1")
    assert "Not certified: skipped" not in (tmp_path / "run-1" / "report.html").read_text()
    assert skipped(tmp_path / "run-1") == ()


@pytest.mark.parametrize("content", [[], {}, {"cases": [1]}, {"cases": [{"case": "a"}]}, {"cases": None}, "text"])
def test_a_damaged_list_is_told(record: Record, tmp_path: Path, content: object) -> None:
    """It is no list without entries."""
    with pytest.raises(RecordError, match=r"skipped\.json: is not a list of cases"):
        skipped(run_with(record, tmp_path / "run-1", content))


def test_words_of_any_kind_are_read(record: Record, tmp_path: Path) -> None:
    """A number is told as one."""
    run = run_with(record, tmp_path / "run-1", {"cases": [{"case": 1, "reason": None}]})
    assert skipped(run) == (Skipped("1", "None"),)
