"""The certificate: one self-contained HTML page that a browser shows without network and a printer prints."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from drainproof.errors import DrainproofError
from drainproof.record import RunInfo
from drainproof.record.run import RUN_FILE
from drainproof.record.run_manifest import RUN_MANIFEST
from reports import environment, terminal, text
from reports.checks import continuity, hypervisor, survival
from reports.description import storage_class
from reports.environment import Section
from reports.evidence import Evidence
from reports.skipped import Skipped
from reports.timeline import palette
from reports.timeline.build import timeline
from reports.timeline.interactive import figure
from reports.timeline.listing import Listing, listing
from reports.timeline.model import Timeline
from reports.timeline.static import picture
from reports.verdict import CaseVerdict, Part, Verdict, worst

TEMPLATES = Path(__file__).parent / "templates"
NOTHING: Final = Markup()
MEANING: Final[Mapping[Verdict, str]] = {
    Verdict.PASS: "Every claim below holds, by the evidence in the record.",
    Verdict.FAIL: "At least one claim below does not hold. Do not rely on this cluster for the service as it is.",
    Verdict.UNKNOWN: "Nothing was found broken, but evidence is missing. An undecided run certifies nothing.",
}
LINKED: Final[Mapping[str, str]] = {
    "verdict.json": "the verdict", "events.jsonl": "what was done and seen", "samples.parquet": "every operation",
    "metrics.json": "what Prometheus saw", "tables.parquet": "the audited rows", "history.parquet": "the transactions",
    "plan.json": "what the observers were told", "manifest.json": "the seal", "logs": "the observers’ logs",
}
"""The files of a case that the page links to, if they are there, and what they hold."""
LINKED_OF_RUN: Final[Mapping[str, str]] = {RUN_FILE: "the run", RUN_MANIFEST: "the seal of all cases"}


@dataclass(frozen=True)
class Drawing:
    """What the page draws of one case, or why it does not."""

    timeline: Timeline | None = None
    chart: Markup = NOTHING
    """The interactive figure as JSON, safe between script tags."""
    picture: Markup = NOTHING
    listing: Listing | None = None
    environment: Sequence[Section] = ()
    trouble: str = ""


@dataclass(frozen=True)
class CasePage:
    """What the page shows of one case."""

    name: str
    number: int
    verdict: CaseVerdict
    migrations: Sequence[Part]
    streams: Sequence[Part]
    drawing: Drawing
    links: Sequence[tuple[str, str, str]]
    """Name, relative address, what it holds."""

    def address(self, place: str) -> str:
        """The relative address of the file in which a claim has its evidence; empty when it is not there."""
        file = place.partition(":")[0]
        return next((address for name, address, _ in self.links if name == file), "")


def write(
    run: RunInfo, judged: Sequence[tuple[Path, CaseVerdict]], path: Path, left_out: Sequence[Skipped] = ()
) -> None:
    """Write the page of a run in one step; everything on it comes from the verdicts, the run and the samples."""
    pages = [_page(number, case, verdict) for number, (case, verdict) in enumerate(judged, 1)]
    library, own = Markup(get_plotlyjs()), Markup((TEMPLATES / "report.js").read_text(encoding="utf-8"))
    scripts = [library, own] if any(page.drawing.chart for page in pages) else []
    content = _environment().get_template("report.html.j2").render(
        run=run,
        storage_class=storage_class(run),
        pages=pages,
        left_out=left_out,
        verdict=worst(page.verdict.verdict for page in pages),
        held=sum(page.verdict.verdict is Verdict.PASS for page in pages),
        meaning=MEANING,
        sections=environment.of_run(run),
        light=palette.LIGHT,
        dark=palette.DARK,
        of_the_run=[(name, told) for name, told in LINKED_OF_RUN.items() if (path.parent / name).exists()],
        scripts=scripts,
        script_sources=" ".join(_source(script) for script in scripts) or "'none'",
    )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8")
    temporary.replace(path)


@cache
def _source(script: str) -> str:
    """How the page's own policy names a script that may run: by its digest."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


def _page(number: int, case: Path, verdict: CaseVerdict) -> CasePage:
    by_id = {claim.id: claim for claim in verdict.claims}
    judged = next((by_id[name] for name in (continuity.ID, survival.ID) if name in by_id), None)
    streams = judged.parts if judged else ()
    return CasePage(
        name=case.name,
        number=number,
        verdict=verdict,
        migrations=by_id[hypervisor.ID].parts if hypervisor.ID in by_id else (),
        streams=[part for part in streams if "samples" in part.facts],
        drawing=_drawn(case),
        links=[(name, quote(f"{case.name}/{name}"), told) for name, told in LINKED.items() if (case / name).exists()],
    )


def _drawn(case: Path) -> Drawing:
    """The drawings, or why there are none: a picture that cannot be drawn must not hide the verdict."""
    sections: Sequence[Section] = ()
    try:
        evidence = Evidence.of(case)
        sections = environment.of_case(evidence)
        drawn = timeline(evidence)
        if not drawn.drawn:
            return Drawing(drawn, environment=sections, trouble="The record has nothing to draw.")
        # The SVG is matplotlib's own, which escapes every string that it draws; the JSON is escaped for its place.
        return Drawing(drawn, _json(figure(drawn)), Markup(picture(drawn)), listing(drawn), sections)
    except Exception as error:  # noqa: BLE001 - a picture that cannot be drawn must not hide the verdict
        shown = str(error) if isinstance(error, DrainproofError) else f"{type(error).__name__}: {error}"
        return Drawing(environment=sections, trouble=f"The timeline cannot be drawn: {shown}")


def _json(content: Mapping[str, Any]) -> Markup:
    """JSON that stands between script tags: no character of it can end them or begin a comment."""
    told = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        told = told.replace(character, f"\\u{ord(character):04x}")
    return Markup(told)


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )
    made.filters |= {
        "number": text.number, "measured": text.measured, "allowed": text.allowed, "of_what": text.of_what,
        "summary": text.summary, "decision": text.DECISION.__getitem__, "fact": _fact, "value": text.value,
        "rejudging": terminal.rejudging,
    }
    made.globals["with_symbol"] = text.with_symbol
    return made


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
