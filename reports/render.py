"""The certificate: one self-contained HTML page that a browser shows without network and a printer prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from drainproof.errors import DrainproofError
from drainproof.record import RunInfo
from reports import charts, text
from reports.checks import continuity, hypervisor, survival
from reports.evidence import Evidence
from reports.verdict import CaseVerdict, Part, Verdict, worst

TEMPLATES = Path(__file__).parent / "templates"
MEANING = {
    Verdict.PASS: "Every claim below holds, by the evidence in the record.",
    Verdict.FAIL: "At least one claim below does not hold. Do not rely on this cluster for the service as it is.",
    Verdict.UNKNOWN: "Nothing was found broken, but evidence is missing. An undecided run certifies nothing.",
}


@dataclass(frozen=True)
class CasePage:
    """What the page shows of one case."""

    name: str
    verdict: CaseVerdict
    migrations: Sequence[Part]
    streams: Sequence[Part]
    timelines: Sequence[tuple[str, Markup]]
    legend: Sequence[tuple[str, str]]
    timeline_trouble: str


def write(run: RunInfo, judged: Sequence[tuple[Path, CaseVerdict]], path: Path) -> None:
    """Write the page of a run in one step; everything on it comes from the verdicts, the run and the samples."""
    pages = [_page(case, verdict) for case, verdict in judged]
    content = _environment().get_template("report.html.j2").render(
        run=run,
        pages=pages,
        verdict=worst(page.verdict.verdict for page in pages),
        meaning=MEANING,
        facts=_facts(run.target),
        versions=_facts(run.versions),
        settings=_facts(run.settings),
    )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(path)


def _page(case: Path, verdict: CaseVerdict) -> CasePage:
    timelines, legend, trouble = _timelines(case)
    by_id = {claim.id: claim for claim in verdict.claims}
    judged = next((by_id[name] for name in (continuity.ID, survival.ID) if name in by_id), None)
    streams = judged.parts if judged else ()
    return CasePage(
        name=case.name,
        verdict=verdict,
        migrations=by_id[hypervisor.ID].parts if hypervisor.ID in by_id else (),
        streams=[part for part in streams if "samples" in part.facts],
        timelines=timelines,
        legend=legend,
        timeline_trouble=trouble,
    )


def _timelines(case: Path) -> tuple[list[tuple[str, Markup]], list[tuple[str, str]], str]:
    """The drawings, or why there are none: a picture that cannot be drawn must not hide the verdict."""
    try:
        evidence = Evidence.of(case)
        # The SVG is matplotlib's own; it escapes every string that it draws.
        drawn = [(title, Markup(svg)) for title, svg in charts.timelines(evidence)]
        return drawn, charts.legend(evidence) if drawn else [], "" if drawn else "The record has no samples to draw."
    except (DrainproofError, KeyError, TypeError, ValueError) as error:
        return [], [], f"The timelines cannot be drawn: {error}"


def _facts(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as name and value, one per line, in their own order."""
    found: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            found += _facts(value, f"{name}, ")
        elif value not in (None, "", [], ()):
            found.append((name, value if isinstance(value, str) else json.dumps(value, default=str)))
    return found


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )
    environment.filters |= {
        "number": text.number, "measured": text.measured, "allowed": text.allowed, "of_what": text.of_what,
        "summary": text.summary, "decision": text.DECISION.__getitem__, "fact": _fact,
    }
    environment.globals["with_symbol"] = text.with_symbol
    return environment


def _shown(value: object) -> object:
    """What a template prints: markup as it is, anything else without control characters (and then escaped)."""
    return value if isinstance(value, Markup) else text.clean(value)


def _rounded(value: float, unit: str) -> str:
    return f"{value:.1f}" if unit == "ms" else text.number(value)


def _fact(part: Part, name: str, unit: str = "") -> str:
    """A further measured value of a part, or a dash."""
    value = part.facts.get(name)
    if value is None or value == "":
        return "–"
    shown = _rounded(value, unit) if isinstance(value, int | float) else value
    return f"{shown} {unit}".strip()
