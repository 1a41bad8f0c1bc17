"""What a comparison shows: the same bytes for the same runs, nothing that a cluster named can do harm."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest

from reports.compare.__main__ import main
from reports.compare.document import document
from reports.compare.page import page
from reports.compare.publishing import publish
from reports.compare.tables import CONCLUSIONS, conclusions, values
from reports.compare.words import chance, percent, value
from reports.verdict import Figure
from tests.unit.reports.compared import Values, figure, write_groups, write_run
from tests.unit.reports.test_compare import TURNS, compared, normal

SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "schemas" / "comparison.schema.json"
HOSTILE = "<script>alert(1)</script>\x1b[31m&\u202e"
FORMULA = "=cmd|'/c calc'!A1"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return write_groups(tmp_path / "runs", TURNS, normal(0.5), axes=("downtime", "recovery"))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Runs of which every foreign name is hostile."""
    for number, letter in enumerate(TURNS):
        seen = figure(1.0 + number / 100 + (letter == "B"), HOSTILE, FORMULA, reason=HOSTILE)
        write_run(
            tmp_path / "hostile", number, HOSTILE if letter == "A" else FORMULA, {"drain": [seen]}, notes=(HOSTILE,),
        )
    return tmp_path / "hostile"


def test_the_command_compares_and_writes(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(runs), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "A is better" in shown
    assert "Of 2 lines A is better on 2, B on 0" in shown
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.csv", "comparison.html", "comparison.json", "values.csv",
    ]


def test_the_command_refuses_with_every_difference_and_3(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs / "run-003" / "run.json"
    info = json.loads(path.read_text())
    info["versions"] |= {"kubevirt": "v1.8.0", "python": "3.12.0"}
    path.write_text(json.dumps(info))
    assert main([str(runs)]) == 3
    told = capsys.readouterr().err
    assert "versions.kubevirt differs: v1.8.0 in run-003" in told
    assert "versions.python differs" in told
    assert main([str(runs), "--allow", "versions"]) == 0
    assert "allowed: versions.kubevirt differs" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["/nowhere/at/all"], [], ["--seed", "x", "."], ["--by", "none", "."]])
def test_the_command_tells_what_it_cannot_read_with_3(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 3
    assert "could not compare: " in capsys.readouterr().err


def test_the_command_ends_with_2_when_nothing_can_be_decided(tmp_path: Path) -> None:
    assert main([str(write_groups(tmp_path, "ABAB", normal(1)))]) == 2


def test_the_same_runs_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    first, second = (publish(compared(runs), [runs], tmp_path / name) for name in ("first", "second"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_document_is_json_of_known_form(runs: Path) -> None:
    told = json.loads(document(compared(runs)))
    assert told["format"] == 1
    assert [group["name"] for group in told["groups"]] == ["A", "B"]
    (line, _) = told["lines"]
    assert line["leads"] is True
    assert line["groups"]["A"]["n"] == 10
    assert len(line["runs"]) == 20
    (pair,) = line["pairs"]
    assert (pair["reference"], pair["candidate"], pair["outcome"], pair["winner"]) == ("A", "B", "worse", "A")
    assert pair["effect"]["low"] < 0.5 < pair["effect"]["high"]


def test_documents_are_as_the_schema_says(runs: Path, hostile: Path, tmp_path: Path) -> None:
    nothing: Values = lambda *_: None  # noqa: E731
    for directory in (runs, hostile, write_groups(tmp_path / "nothing", "ABCA", nothing)):
        jsonschema.validate(json.loads(document(compared(directory))), json.loads(SCHEMA.read_text()))


def test_tables_hold_each_pair_and_each_value(runs: Path) -> None:
    comparison = compared(runs)
    (first, second) = csv.DictReader(io.StringIO(conclusions(comparison)))
    assert tuple(first) == CONCLUSIONS
    assert (first["axis"], second["axis"]) == ("downtime", "recovery")
    assert (first["winner"], first["reference_n"], first["candidate_n"]) == ("A", "10", "10")
    assert len(list(csv.DictReader(io.StringIO(values(comparison))))) == 40


def test_no_cell_is_a_formula_and_nothing_steers_the_terminal(
    hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(hostile), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\u202e" not in shown.out
    for name in ("comparison.csv", "values.csv"):
        for row in csv.reader(io.StringIO((tmp_path / "out" / name).read_text())):
            assert not [cell for cell in row if cell.startswith("=")]
    assert "'=cmd" in (tmp_path / "out" / "comparison.csv").read_text()


def test_the_page_escapes_every_foreign_name(hostile: Path) -> None:
    shown = page(compared(hostile), [hostile])
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    charts = re.search(r'id="charts">(.*?)</script>', shown, re.DOTALL)
    assert charts is not None
    assert "<" not in charts[1]
    named = json.loads(charts[1])[0]["groups"][0]["name"]
    assert "<" not in named  # plotly.js reads some markup in texts


def test_the_page_runs_only_its_own_scripts_and_loads_nothing(runs: Path) -> None:
    shown = page(compared(runs), [runs])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', shown)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert policy[1].count("sha256-") == 2
    without = re.sub(r"<script>.*?</script>", "", shown, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!#)', without)


def test_the_page_says_without_scripts_what_was_found(runs: Path) -> None:
    shown = re.sub(r"<script.*?</script>", "", page(compared(runs), [runs]), flags=re.DOTALL)
    assert "Of 2 lines A is better on 2, B on 0" in shown
    assert shown.count('class="strip"') == 2
    assert shown.count('class="forest"') == 2
    assert "drainproof compare runs" in shown


def test_a_run_that_stands_out_is_named_at_the_top(tmp_path: Path) -> None:
    gap: Values = lambda chance, _, number: 20.0 if number == 7 else float(chance.normal(1, 0.01))  # noqa: E731
    shown = page(compared(write_groups(tmp_path, TURNS, gap)), [tmp_path])
    assert "20.0 s in run-007" in shown[: shown.index("Runs that passed")]


def test_a_line_that_no_group_has_values_of_is_shown_all_the_same(tmp_path: Path) -> None:
    nothing: Values = lambda *_: None  # noqa: E731
    comparison = compared(write_groups(tmp_path, "ABBA", nothing))
    assert "not comparable" in page(comparison, [tmp_path])
    assert json.loads(document(comparison))["lines"][0]["pairs"][0]["effect"] is None
    assert conclusions(comparison).count("\n") == 2


def test_bytes_and_shares_are_drawn_in_fitting_units(tmp_path: Path) -> None:
    for number, letter in enumerate(TURNS):
        moved = Figure(axis="data moved", object="a", value=300.0 * 2**20 + number, unit="bytes")
        failed = Figure(axis="failed operations", object="a", value=number / 100, unit="share")
        write_run(tmp_path, number, letter, {"drain": [moved, failed]})
    shown = page(compared(tmp_path), [tmp_path])
    assert '"unit":"MiB"' in shown
    assert '"unit":"%"' in shown


def test_values_have_three_digits_and_their_unit() -> None:
    assert value(0.0123, "s") == "12.3 ms"
    assert value(12.345, "s") == "12.3 s"
    assert value(-0.5, "s", "+") == "−500 ms"
    assert value(3 * 2**30, "bytes") == "3.00 GiB"
    assert value(2.5 * 2**20, "bytes/s") == "2.50 MiB/s"
    assert value(0.021, "share") == "2.10 %"
    assert value(1234567.0, "1/s").replace("\N{NARROW NO-BREAK SPACE}", "") == "1234567 /s"
    assert value(0.0, "s") == "0 s"
    assert value(None, "s") == "–"
    assert percent(-0.012) == "−1.2 %"
    assert chance(0) == "< 0.001"
