"""The trend as JSON: the same history gives the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reports.trend import proposals
from reports.trend.analysis import KeyProposal, Line, StreamTrend, Trend
from reports.trend.entries import Entry
from reports.trend.findings import Answer, Finding
from reports.trend.history import Row, Stream

FORMAT = 1
DIGITS = 6


def write(trend: Trend, answer: Answer, path: Path) -> None:
    """Write the file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content(trend, answer), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def content(trend: Trend, answer: Answer) -> dict[str, Any]:
    """Everything concluded; runs are named by their ids, values are those that count in the order of the runs."""
    return {
        "format": FORMAT,
        "verdict": answer.verdict.value,
        "exit_code": answer.verdict.exit_code,
        "options": {
            "case": list(trend.options.patterns), "last": trend.options.last, "tolerance": trend.options.tolerance,
        },
        "series_tested": trend.tested,
        "findings": [_finding(finding, None) for finding in answer.general],
        "streams": [_stream(one, found) for one, found in zip(trend.streams, answer.by_stream, strict=True)],
    }


def _stream(one: StreamTrend, found: tuple[Finding, ...]) -> dict[str, Any]:
    return {
        **one.stream.name,
        "runs": [{"run": row.id, "started": row.started.isoformat()} for row in one.stream.rows],
        "findings": [_finding(finding, one.stream) for finding in found],
        "marks": [
            {"run": one.stream.rows[mark.at].id, "changed": [str(difference) for difference in mark.differences]}
            for mark in one.marks
        ],
        "limits": [_proposed(proposal) for proposal in one.limits],
        "limits_toml": proposals.toml(one),
        "policy_toml": proposals.policy(one),
        "series": [_series(one, line) for line in one.lines],
    }


def _finding(finding: Finding, stream: Stream | None) -> dict[str, Any]:
    return {
        "weight": finding.weight.value if finding.weight else None,
        "kind": finding.kind,
        **_key(finding),
        "run": _run(stream, finding.at),
        "last_before": _run(stream, finding.since),
        "headline": finding.headline,
        "told": list(finding.told),
        "changed": [
            {"key": one.key, "before": one.before, "after": one.after} for one in finding.causes
        ],
    }


def _key(finding: Finding) -> dict[str, str]:
    return dict(finding.key._asdict()) if finding.key else {}


def _run(stream: Stream | None, at: int | None) -> str | None:
    if stream is None or at is None:
        return None
    row: Row = stream.rows[at]
    return row.id


def _series(one: StreamTrend, line: Line) -> dict[str, Any]:
    series, rows = line.series, one.stream.rows
    standing = line.standing
    return {
        **series.key._asdict(),
        "unit": series.newest.unit,
        "better": series.newest.better.value,
        "state": standing.state.value if standing else None,
        "failed": {"bad": standing.overall.bad, "decided": standing.overall.decided} if standing else None,
        "points": [_point(rows[at], series.entry(at)) for at in series.told],
        "changes": [
            {
                "run": rows[step.at].id, "last_before": rows[step.last_before].id,
                "first_after": rows[step.first_after].id, "worse": step.worse, "large": step.large,
                "before": _rounded(step.change.before), "after": _rounded(step.change.after),
                "relative": _rounded(step.change.relative), "p": float(f"{step.change.p:.3g}"), "of": of,
            }
            for of, steps in (("values", line.steps), ("failures", line.rates))
            for step in steps
        ],
        "outliers": [rows[at].id for at in line.apart],
        "proposal": _proposal(line),
    }


def _point(row: Row, entry: Entry) -> list[Any]:
    return [row.id, entry.verdict.value if entry.verdict else None, _rounded(entry.value)]


def _proposal(line: Line) -> dict[str, Any] | None:
    if line.proposal is None:
        return None
    proposal = line.proposal
    return {
        "runs": proposal.runs,
        "limit": proposal.limit,
        "largest": _rounded(proposal.largest),
        "detection_limit": _rounded(proposal.floor),
        **{
            name: {"value": _rounded(one.value), "confidence": _rounded(one.confidence), "holds": one.holds}
            for name, one in (("p95", proposal.p95), ("p99", proposal.p99))
        },
    }


def _proposed(one: KeyProposal) -> dict[str, Any]:
    key = one.decides.key
    return {
        "key": one.key, "limit": one.limit, "now": _rounded(one.now), "decided_by": dict(key._asdict()),
        "series": one.series, "silent": one.silent, "why": proposals.why(one),
        "reservation": proposals.reservation(one),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
