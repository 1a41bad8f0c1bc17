"""`drainproof show`: the certificate on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from reports.evidence import Evidence
from reports.judge import judge
from reports.show import main as show
from reports.timeline.build import timeline
from reports.timeline.text import drawn, told
from tests.browser.hostile import spoil
from tests.unit.reports.fault_records import fault_record
from tests.unit.reports.records import Record, good_record

COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """Standard output of somebody who sits there."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> list[str]:
    """What is shown on a terminal of that width, without its colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    show(arguments)
    return COLOURS.sub("", stream.getvalue()).splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_all_of_it(
    record: Record, tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verdict, claims, timeline, environment and command; no line is longer than the terminal is wide."""
    case = record.write(tmp_path / "run-1")
    judge(case)
    lines = on_terminal(monkeypatch, width, str(case.parent))
    text = "\n".join(lines)
    assert lines[0].startswith("GO (pass): ")
    for shown in ("ledger.complete", "Timeline (UTC)", "drain  ", "wsrep_provider_version", "lab-shared",
                  "drainproof certify --profile quick --target lab", "python -m reports.rejudge"):
        assert shown in text
    assert max(map(len, lines)) <= width
    assert ("sees from" in text) == (width >= 100)


def test_a_pipe_gets_plain_lines(record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No colour and no drawing: a line per claim, and one per event of the timeline with its moment and length."""
    case = record.write(tmp_path / "run-1")
    judge(case)
    assert show([str(case.parent)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert re.search(r"^PASS +continuity\.requests .*sees from", shown, re.MULTILINE)
    assert re.search(r"^00:00:0\d\.\d{3} +5\.000 s  What was done: drain: drain of node-a$", shown, re.MULTILINE)


def test_gaps_and_failures_are_drawn_where_they_were(tmp_path: Path) -> None:
    """A machine that is lost has crosses and full columns from then on, the others do not."""
    found = timeline(Evidence.of(fault_record().write(tmp_path / "run-1")))
    lines = [text.plain for text in drawn(found, 100)]
    begin = next(number for number, line in enumerate(lines) if line.startswith("HTTP, a new connection"))
    machines = {line.split()[0]: line for line in lines[begin + 1 : begin + 5]}
    lost = [name for name, line in machines.items() if "x" in line[22:90]]
    assert lost
    assert any("█" in machines[name] for name in lost)
    assert any(": failed: " in line for line in told(found))


def test_a_run_of_many_cases_has_a_line_for_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The worst case decides the exit code, and one can be shown by its name."""
    judge(good_record().write(tmp_path / "run-1", "first"))
    bad = good_record()
    bad.tables.pop()
    judge(bad.write(tmp_path / "run-1", "second"))
    assert show([str(tmp_path / "run-1")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NO-GO (fail): 2 cases of run run-1 on lab")
    assert lines[1].startswith("PASS    first")
    assert lines[2].startswith("FAIL    second")
    assert show([str(tmp_path / "run-1"), "--case", "first"]) == 0
    assert "Timeline (UTC)" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["--case", "third"], ["--colour"]])
def test_what_cannot_be_shown_is_told(tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No run, no such case, no such option: exit code 3 and a sentence with what there is instead."""
    if arguments:
        judge(good_record().write(tmp_path / "run-1", "first"))
    assert show([str(tmp_path / "run-1"), *arguments]) == 3
    told_of = capsys.readouterr().err
    assert told_of.startswith("could not show: ")
    assert "first" in told_of or arguments != ["--case", "third"]


def test_hostile_names_do_not_steer_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escapes in names are shown as text, on terminals of any width."""
    record = good_record()
    spoil(record)
    record.notes = ("\x1b]0;owned\x07[bold red]\u202e",)
    case = record.write(tmp_path / "run-1")
    judge(case)
    for width in (80, 160):
        text = "\n".join(on_terminal(monkeypatch, width, str(case.parent)))
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
        assert "[bold red]" in text
