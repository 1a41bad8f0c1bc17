"""`drainproof show`: the certificate on a terminal and in a pipe."""

from __future__ import annotations

import html
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from reports import publish
from reports.evidence import Evidence
from reports.judge import judge
from reports.show import main as show
from reports.timeline.build import timeline
from reports.timeline.text import drawn, told
from tests.browser.hostile import spoil
from tests.unit.reports.fault_records import fault_record
from tests.unit.reports.records import Record, good_record

PROJECT = Path(__file__).resolve().parents[3]
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


def test_a_case_that_was_never_judged_is_told_and_certifies_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its test broke off: the run is undecided, whatever the other cases say; each of these can still be shown."""
    judge(good_record().write(tmp_path / "run-1", "first"))
    good_record().write(tmp_path / "run-1", "second")
    assert show([str(tmp_path / "run-1")]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("UNDECIDED (unknown): 2 cases")
    assert lines[2].startswith("UNKNOWN second  it broke off")
    assert show([str(tmp_path / "run-1"), "--case", "first"]) == 0


def test_what_was_skipped_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in every other form of the certificate."""
    judge(good_record().write(tmp_path / "run-1", "first"))
    told_of = {"cases": [{"case": "node_loss", "test": "", "reason": "no power\x1b[31m"}]}
    (tmp_path / "run-1" / "skipped.json").write_text(json.dumps(told_of))
    assert show([str(tmp_path / "run-1")]) == 0
    assert "NOT CERTIFIED (skipped): node_loss: no power\\x1b[31m" in capsys.readouterr().out


def test_commands_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory of an odd name stays one argument, on the terminal and on the page."""
    record = good_record()
    record.tables.pop()
    case = record.write(tmp_path / "a run; reboot")
    judge(case)
    publish(case.parent)
    show([str(case.parent)])
    told_of = [line for line in capsys.readouterr().out.splitlines() if "python -m reports.rejudge" in line]
    commands = [shlex.split(line.partition("re-judge: ")[2] or line) for line in told_of]
    assert [command[:4] for command in commands] == [["python", "-m", "reports.rejudge", str(case)]] * 2
    page = (case.parent / "report.html").read_text(encoding="utf-8")
    assert f"python -m reports.rejudge 'a run; reboot/{case.name}'" in html.unescape(page)


def test_a_verdict_of_an_odd_shape_is_not_taken_for_a_refuted_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = good_record().write(tmp_path / "run-1", "first")
    judge(case)
    stored = case / "verdict.json"
    content = json.loads(stored.read_text())
    content["claims"][0]["measured"] = "far"
    stored.write_text(json.dumps(content))
    assert show([str(tmp_path / "run-1")]) == 3
    assert "could not show: the record is of an odd shape" in capsys.readouterr().err


def test_who_stops_reading_changes_no_exit_code(tmp_path: Path) -> None:
    judge(good_record().write(tmp_path / "run-1", "first"))
    program = subprocess.Popen(
        [sys.executable, "-m", "reports.show", str(tmp_path / "run-1")], cwd=PROJECT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    program.stdout.close()
    _, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (0, b"")


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
