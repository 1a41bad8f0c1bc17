"""What machines read of a run: verdict.json by its published schema, JUnit's properties, the metrics of a textfile."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from junitparser import JUnitXml, TestCase
from prometheus_client.parser import text_string_to_metric_families

from drainproof.record import RunInfo
from reports import junit, publish, schema, textfile
from reports.judge import judge
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


def metrics(path: Path) -> dict[tuple[str, ...], float]:
    """Every sample of a file: its name and label values, and its value."""
    text = path.read_text(encoding="utf-8")
    return {
        (sample.name.removeprefix("drainproof_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text) for sample in family.samples
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


def test_publishing_writes_every_rendering(record: Record, tmp_path: Path) -> None:
    """Beside the record lie the page, JUnit's file and the metrics, and no half of one."""
    case = record.write(tmp_path / "run-1")
    judge(case)
    publish(case.parent)
    there = {path.name for path in case.parent.iterdir() if path.is_file()}
    assert there == {"run.json", "report.html", "junit.xml", "drainproof.prom"}
    assert metrics(case.parent / "drainproof.prom")["run_verdict",] == 0
