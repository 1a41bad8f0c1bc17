"""What a run's reports show, and that no foreign string can steer a page, a terminal or an XML file."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from reports import publish, terminal
from reports.judge import judge
from reports.rejudge import main as rejudge
from reports.verdict import Verdict
from tests.unit.reports.records import Record, good_record
from tests.unit.reports.timeline import VMS

HOSTILE = "<script>alert(1)</script>\"'&[bold red]{{7*7}}\x1b[31m\u202e\x00$\\frac{"


class Page(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", {}))

    @property
    def policy(self) -> str:
        """The page's own security policy."""
        return next(str(attrs["content"]) for tag, attrs in self.tags if tag == "meta" and "http-equiv" in attrs)

    @property
    def links(self) -> list[str]:
        """Whatever the page points at."""
        pointing = ("src", "href", "xlink:href")
        return [str(value) for _, attrs in self.tags for key, value in attrs.items() if key in pointing]


def spoil_strings(record: Record) -> None:
    """Put a hostile string wherever a cluster, a guest or a user could have put one."""
    record.found("run", "case")[0]["data"]["title"] = HOSTILE
    record.found("drain", "proof")[0]["data"] |= {"happened": False, "reasons": [HOSTILE]}
    record.target |= {"name": HOSTILE, HOSTILE: HOSTILE}
    record.settings["name"] = HOSTILE
    record.settings["portal"] = {"storage_class": HOSTILE}
    record.notes = (HOSTILE,)
    for event in record.found("drain", "begin"):
        event["object"] = HOSTILE
    for event in record.found("portal", "deployed"):
        event["data"]["vms"][0]["name"] = HOSTILE
    record.samples[f"clinic/{HOSTILE.replace(chr(0), '')}"] = record.samples.pop("clinic/POST pay")


def published(record: Record, run: Path) -> tuple[Verdict | None, str]:
    judge(record.write(run))
    stream = io.StringIO()
    return publish(run, stream), stream.getvalue()


def test_page_is_self_contained(record: Record, tmp_path: Path) -> None:
    """The page shows claims, timeline, migrations and commands, loads nothing, and runs only what its policy names."""
    run = tmp_path / "run-1"
    verdict, _ = published(record, run)
    text = (run / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert verdict is Verdict.PASS
    for shown in ("GO", "software emulation", "164 ms", "python -m reports.rejudge", "node-d", "ledger.complete"):
        assert shown in text
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert "svg" in {tag for tag, _ in page.tags}
    inside = [link for link in page.links if not link.startswith(("#", "data:image/png;base64,"))]
    assert {f"{next(run.glob('*/')).name}/{name}" for name in ("events.jsonl", "samples.parquet")} < set(inside)
    assert all((run / link).exists() for link in inside)


def test_only_the_pages_own_scripts_may_run(record: Record, tmp_path: Path) -> None:
    """The policy allows each script by its digest and nothing else; the chart's data is no script."""
    published(record, tmp_path / "run-1")
    page = Page((tmp_path / "run-1" / "report.html").read_text(encoding="utf-8"))
    kinds = [attrs for tag, attrs in page.tags if tag == "script"]
    assert kinds == [{"type": "application/json"}, {}, {}]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts[1:]]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    assert page.policy.startswith(f"default-src 'none'; script-src {allowed};")
    assert "unsafe-eval" not in page.policy
    assert not any(key.startswith("on") for _, attrs in page.tags for key in attrs)


def test_hostile_strings_stay_text(tmp_path: Path) -> None:
    """Markup, templates, control characters and text direction in names reach no one as such."""
    record = good_record()
    spoil_strings(record)
    _, shown = published(record, tmp_path / "run-1")
    html = (tmp_path / "run-1" / "report.html").read_text(encoding="utf-8")
    xml = (tmp_path / "run-1" / "junit.xml").read_text(encoding="utf-8")
    metrics = (tmp_path / "run-1" / "drainproof.prom").read_text(encoding="utf-8")
    page = Page(html)
    assert [attrs for tag, attrs in page.tags if tag == "script"] == [{"type": "application/json"}, {}, {}]
    assert not any("alert(1)" in script for script in page.scripts[1:])
    assert "<" not in page.scripts[0]
    own = html.partition("<script>")[0]
    assert "{{7*7}}" in own
    for text in (own, xml, shown, metrics):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    assert "[bold red]" in shown
    JUnitXml.fromfile(str(tmp_path / "run-1" / "junit.xml"))


@pytest.mark.parametrize("width", [60, 160])
def test_terminal_table_escapes(tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal of any width the only escape sequences are our own colours."""
    record = good_record()
    spoil_strings(record)
    case = record.write(tmp_path / "run-1")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    terminal.show(judge(case), case, stream)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b" not in plain
    assert "[bold red]" in plain or width < 100


def test_failure_takes_four_lines(record: Record, tmp_path: Path) -> None:
    """A failed claim prints its finding, the first witness, the others, and where to look further."""
    for vm in VMS[:2]:
        for kind in ("http-new", "http-reused"):
            record.silence(f"{kind}/{vm}", 8.0, 11.5)
    _, shown = published(record, tmp_path / "run-1")
    lines = shown.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("continuity.requests  FAIL"))
    assert re.search(r"longest gap: 3\.\d+ s, at most 2 s allowed", lines[first])
    assert lines[first + 1].startswith("  http-new/portal-a: silent for 3.")
    assert lines[first + 2].startswith("  likewise: http-new/portal-b")
    assert "re-judge: python -m reports.rejudge" in lines[first + 3]
    assert lines[0].startswith("NO-GO (fail): ")


def test_junit_tells_fail_from_unknown(record: Record, tmp_path: Path) -> None:
    """A failed claim is a failure, an undecided one an error, the others pass."""
    record.tables.pop()
    record.drop("hypervisor", "downtime")
    published(record, tmp_path / "run-1")
    suite = next(iter(JUnitXml.fromfile(str(tmp_path / "run-1" / "junit.xml"))))
    assert (suite.tests, suite.failures, suite.errors) == (15, 1, 2)


def test_rejudging_gives_the_same_bytes(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judging again, from the run or the case, in another place, writes the same verdict bit for bit."""
    case = record.write(tmp_path / "run-1")
    judge(case)
    before = (case / "verdict.json").read_bytes()
    moved = (tmp_path / "run-1").rename(tmp_path / "elsewhere")
    assert rejudge([str(moved), "--write"]) == 0
    assert (moved / case.name / "verdict.json").read_bytes() == before
    report = (moved / "report.html").read_bytes()
    assert rejudge([str(moved / case.name), "--write"]) == 0
    assert (moved / "report.html").read_bytes() == report
    assert "The stored verdict is the same." in capsys.readouterr().out


def test_a_stored_verdict_cannot_steer_the_terminal(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even one that cannot be read, whose words the error repeats."""
    case = record.write(tmp_path / "run-\x1b[31m1")
    (case / "verdict.json").write_text("{")
    assert rejudge([str(case)]) == 0
    shown = capsys.readouterr().out
    assert "The stored verdict cannot be read" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(("spoil", "code"), [("fail", 1), ("unknown", 2)])
def test_rejudge_exit_codes(record: Record, tmp_path: Path, spoil: str, code: int) -> None:
    """The exit code is the verdict, and without --write nothing is written."""
    record.drop("audit", "done") if spoil == "unknown" else record.tables.pop()
    case = record.write(tmp_path / "run-1")
    assert rejudge([str(case)]) == code
    assert not (case / "verdict.json").exists()


@pytest.mark.parametrize("damage", ["nothing", "run.json", "events.jsonl", "settings", "option"])
def test_unreadable_record_is_told(
    record: Record, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is no record ends with exit code 3 and one sentence."""
    arguments: list[Any] = [str(tmp_path / "run-1")]
    if damage == "settings":
        record.settings["limits"]["http_new_gap_secunds"] = 3
    if damage != "nothing":
        case = record.write(tmp_path / "run-1")
        if damage == "run.json":
            (case.parent / "run.json").write_text("{")
        elif damage == "events.jsonl":
            (case / "events.jsonl").write_text("no event\n")
        elif damage == "option":
            arguments.append("--wirte")
    assert rejudge(arguments) == 3
    assert capsys.readouterr().err.startswith("could not judge: ")


def test_case_that_was_never_judged_counts(record: Record, tmp_path: Path) -> None:
    """A case whose test broke off is judged when the run is published; a run without any verdict has none."""
    assert published(record, tmp_path / "run-1")[0] is Verdict.PASS
    good_record().write(tmp_path / "run-2")
    assert publish(tmp_path / "run-2") is None
    broken = Record()
    broken.event(0, "run", "case", title="Another claim")
    broken.write(tmp_path / "run-1", "another")
    assert publish(tmp_path / "run-1") is Verdict.UNKNOWN


def test_limits_of_the_run_are_used(record: Record, tmp_path: Path) -> None:
    """A stricter profile fails what a laxer one passes, from the same samples."""
    record.settings["limits"]["sql_gap_seconds"] = 0.5
    verdict = judge(record.write(tmp_path / "run-1"))
    assert verdict.verdict is Verdict.FAIL
    assert verdict.limits["sql_gap_seconds"] == 0.5


def test_the_storage_class_stands_with_the_verdict(tmp_path: Path) -> None:
    record = good_record()
    record.target |= {"storage_classes": {"shared": "ceph-rbd"}}
    published(record, tmp_path / "run-1")
    page = (tmp_path / "run-1" / "report.html").read_text(encoding="utf-8")
    assert "<dt>Storage class</dt><dd>ceph-rbd</dd>" in page
