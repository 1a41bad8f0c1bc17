"""What machines read of a run: verdict.json by its published schema, JUnit's properties, the metrics of a textfile."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import JUnitXml, TestCase
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from drainproof.record import RunInfo
from reports import junit, publish, render, schema, show, textfile
from reports.judge import judge, write_verdict
from reports.verdict import CaseVerdict, Claim, Figure, Verdict
from tests.unit.reports.records import Record

HOSTILE = 'a "quoted"\\name\nwith a line<script>\x1b[31m'


def valid(content: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(schema.schema()).is_valid(content))


def test_published_schema_is_up_to_date() -> None:
    """The file says what the dataclasses say; `python -m reports.schema` writes it anew."""
    assert schema.PATH.read_text(encoding="utf-8") == schema.text()
    jsonschema.Draft202012Validator.check_schema(schema.schema())


def test_verdicts_follow_the_schema(record: Record, tmp_path: Path) -> None:
    """A verdict validates as written, one of before the figures too; one that misses or adds something does not."""
    case = record.write(tmp_path / "run-1")
    judge(case)
    content = json.loads((case / "verdict.json").read_text())
    assert valid(content)
    assert valid({key: value for key, value in content.items() if key != "figures"})
    assert not valid({key: value for key, value in content.items() if key != "claims"})
    assert not valid({**content, "surprise": 1})
    assert not valid({**content, "verdict": "maybe"})
    assert not valid({**content, "format": 2})
    broken = copy.deepcopy(content)
    broken["claims"][0].pop("limit")
    assert not valid(broken)


def verdict_of(*claims: Claim, figures: tuple[Figure, ...] = ()) -> CaseVerdict:
    return CaseVerdict(
        case=HOSTILE, title="A title", verdict=Verdict.UNKNOWN, limits={}, claims=claims, judged_by={"version": "4"},
        figures=figures,
    )


CLAIMS = (
    Claim(id="a.good", title="Good", verdict=Verdict.PASS, reason="fine", measured=0.25, limit=2, unit="s, longest gap",
          detection_limit=0.1, evidence=("samples.parquet",)),
    Claim(id="b.undecided", title="Undecided", verdict=Verdict.UNKNOWN, reason="nothing was recorded", limit=0,
          unit="rows"),
    Claim(id="c.bad", title="Bad", verdict=Verdict.FAIL, reason=HOSTILE, measured=3, limit=0, unit="rows"),
    Claim(id="d.informs", title="Informs", verdict=Verdict.PASS, reason="told", measured=7, limit=1, bound="",
          unit="ms"),
)


def properties(case: TestCase) -> dict[str, str]:
    return {one.get("name"): one.get("value") for one in case._elem.iter("property")}


def test_junit_has_the_figures_as_properties(tmp_path: Path) -> None:
    """Each claim is one test case with what was measured and allowed; unknown is an error and never a zero."""
    junit.write([verdict_of(*CLAIMS)], tmp_path / "junit.xml")
    suite = next(iter(JUnitXml.fromfile(str(tmp_path / "junit.xml"))))
    cases = list(suite)
    assert (suite.tests, suite.failures, suite.errors) == (4, 1, 1)
    assert properties(cases[0]) == {
        "claim": "a.good", "verdict": "pass", "measured": "0.25", "limit": "2", "detection_limit": "0.1",
        "bound": "at most", "unit": "s, longest gap", "evidence": "samples.parquet",
    }
    assert "measured" not in properties(cases[1])
    assert [case.is_error for case in cases] == [False, True, False, False]
    assert [case.is_failure for case in cases] == [False, False, True, False]
    assert cases[0].system_out


def samples(path: Path) -> list[Sample]:
    """Every sample of a file."""
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
    return [sample for family in families for sample in family.samples]


def metrics(path: Path) -> dict[tuple[str, ...], float]:
    """The name and label values of each sample, but for the target, and its value."""
    return {
        (one.name.removeprefix("drainproof_"), *(told for name, told in one.labels.items() if name != "target")): (
            one.value
        )
        for one in samples(path)
    }


def test_textfile_tells_verdicts_limits_and_figures(record: Record, tmp_path: Path) -> None:
    """Hostile names are one escaped label value; what was not measured, or a figure without a value, has no sample."""
    figures = (
        Figure(axis="downtime", object=HOSTILE, value=0.5, unit="s"),
        Figure(axis="drain time", object="node-a", value=None, unit="s", reason="nobody looked"),
    )
    run = RunInfo.read(record.write(tmp_path / "run-1").parent)
    textfile.write(run, [verdict_of(*CLAIMS, figures=figures)], tmp_path / "drainproof.prom")
    found = metrics(tmp_path / "drainproof.prom")
    case = next(key[1] for key in found if key[0] == "case_verdict")
    assert case == 'a "quoted"\\name\\nwith a line<script>\\x1b[31m'
    assert found["run_verdict",] == found["case_verdict", case] == found["claim_verdict", case, "b.undecided"] == 2
    assert found["claim_verdict", case, "c.bad"] == 1
    assert [value for key, value in found.items() if key[:3] == ("claim_measured", case, "a.good")] == [0.25]
    assert not [key for key in found if key[:3] == ("claim_measured", case, "b.undecided")]
    assert {key[-2] for key in found if key[0] == "claim_limit"} == {"a.good", "b.undecided", "c.bad"}
    assert [value for key, value in found.items() if key[0] == "figure"] == [0.5]
    assert found["run_started_timestamp_seconds",] == pytest.approx(run.anchor.wall_ns / 1e9)


def test_files_of_several_targets_and_cases_do_not_clash(record: Record, tmp_path: Path) -> None:
    """Every sample names its target; cases of one name, or of names that look alike, are told apart."""
    run = RunInfo.read(record.write(tmp_path / "run-1").parent)
    cases = [replace(verdict_of(*CLAIMS), case=name) for name in ("a\n", "a\\n", "b")]
    textfile.write(run, cases, tmp_path / "drainproof.prom")
    found = samples(tmp_path / "drainproof.prom")
    assert {sample.labels.get("target") for sample in found} == {"lab"}
    assert [one.labels["case"] for one in found if one.name == "drainproof_case_verdict"] == ["a\\n", "a\\n (2)", "b"]
    keys = [(one.name, *sorted(one.labels.items())) for one in found]
    assert len(keys) == len(set(keys))


OPEN_ENDED = Figure(axis="downtime", object="http-new/portal-a", value=12.5, unit="s", at_least=True)
UNTOLD = Figure(axis="drain time", object="node-a", value=None, unit="s")


def test_what_may_be_longer_is_marked_everywhere(record: Record, tmp_path: Path) -> None:
    """An open-ended figure never looks exact, and one without a value and a reason leaves no blank."""
    case = record.write(tmp_path / "run-1")
    exact = replace(OPEN_ENDED, object="http-new/portal-b", at_least=False)
    write_verdict(case, replace(judge(case), figures=(OPEN_ENDED, exact, UNTOLD)))
    publish(case.parent)
    page = (case.parent / "report.html").read_text(encoding="utf-8")
    assert '<td>http-new/portal-a</td><td class="n">at least 12.500 s</td>' in page
    assert '<td>http-new/portal-b</td><td class="n">12.500 s</td>' in page
    assert '<td>node-a</td><td class="n">not told</td>' in page
    bounds = [one.labels["bound"] for one in samples(case.parent / "drainproof.prom") if one.name.endswith("_figure")]
    assert bounds == ["at least", ""]


def test_each_claim_tells_what_it_can_see(record: Record, tmp_path: Path) -> None:
    """As a number, or in words where there is none; and it leads to the files that it rests on."""
    case = record.write(tmp_path / "run-1")
    first = replace(CLAIMS[0], detection="a word of its own")
    in_words = replace(CLAIMS[1], detection="<b>every change", evidence=("events.jsonl: watch", "gone.json", HOSTILE))
    write_verdict(case, replace(judge(case), claims=(first, in_words)))
    publish(case.parent)
    page = (case.parent / "report.html").read_text(encoding="utf-8")
    claims, _, rest = page.partition('<section class="timeline"')
    assert 'data-name="Sees from">0.100 s</td>' in claims
    assert "a word of its own" not in claims
    assert '<span class="sees">Detection: &lt;b&gt;every change</span>' in claims
    linked = f'<a href="{case.name}/events.jsonl"><code>events.jsonl: watch</code></a>, <code>gone.json</code>'
    assert linked in rest


def test_a_page_that_breaks_costs_nothing_else(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What machines read is there and new, and no older page stands beside it."""
    run = record.write(tmp_path / "run-1").parent
    judge(run / "drain_of_every_node")
    (run / "report.html").write_text("GO")

    def broken(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(render, "write", broken)
    shown = io.StringIO()
    with pytest.raises(MemoryError):
        publish(run, shown)
    assert {path.name for path in run.iterdir() if path.is_file()} == {"run.json", "junit.xml", "drainproof.prom"}
    assert shown.getvalue().startswith("GO (pass)")


def test_a_timeline_that_breaks_in_any_way_hides_no_verdict(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the page and on the terminal."""
    run = record.write(tmp_path / "run-1").parent
    judge(run / "drain_of_every_node")

    def broken(evidence: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr(render, "timeline", broken)
    monkeypatch.setattr(show, "timeline", broken)
    assert publish(run) is Verdict.PASS
    assert "The timeline cannot be drawn: ZeroDivisionError: odd" in (run / "report.html").read_text(encoding="utf-8")
    assert show.main([str(run)]) == 0
    assert "The timeline cannot be drawn: ZeroDivisionError: odd" in capsys.readouterr().out


def test_publishing_writes_every_rendering(record: Record, tmp_path: Path) -> None:
    """Beside the record lie the page, JUnit's file and the metrics, and no half of one."""
    case = record.write(tmp_path / "run-1")
    judge(case)
    publish(case.parent)
    there = {path.name for path in case.parent.iterdir() if path.is_file()}
    assert there == {"run.json", "report.html", "junit.xml", "drainproof.prom"}
    assert metrics(case.parent / "drainproof.prom")["run_verdict",] == 0
