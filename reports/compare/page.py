"""The comparison as one HTML page without network: conclusions first, every run a dot, readable without scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reports.compare import marks, words
from reports.compare.comparison import Comparison, Row
from reports.compare.outcome import Outcome, Pair
from reports.compare.runs import STORAGE_CLASS
from reports.text import clean
from reports.timeline import palette

TEMPLATES: Final = Path(__file__).parent / "templates"
SHARED: Final = Path(__file__).parent.parent / "templates"
"""Where the certificate's style sheet is: both pages look alike."""
SCRIPT: Final = "comparison.js"
TONES: Final[Mapping[Outcome, str]] = {
    Outcome.BETTER: "won", Outcome.WORSE: "won", Outcome.TIE: "tie", Outcome.OPEN: "open",
    Outcome.TOO_FEW: "doubt", Outcome.TIME: "doubt", Outcome.NOTHING: "doubt",
}


@dataclass(frozen=True)
class CaseLines:
    """The lines of one case: those that lead, each with its details."""

    name: str
    title: str
    rows: Sequence[tuple[Row, Sequence[Row]]]


def page(comparison: Comparison, paths: Sequence[Path]) -> str:
    """The whole page; `paths` is what the command was given."""
    library, own = Markup(get_plotlyjs()), Markup((TEMPLATES / SCRIPT).read_text(encoding="utf-8"))
    return _environment(comparison).get_template("comparison.html.j2").render(
        comparison=comparison,
        cases=list(_cases(comparison)),
        verdict_rows=comparison.passes,
        by="storage class" if comparison.options.by == STORAGE_CLASS else comparison.options.by,
        common=_common(comparison),
        command=_command(comparison, paths),
        charts=_json([_chart(comparison, number, row) for number, row in enumerate(comparison.leading)]),
        scripts=[library, own],
        script_sources=" ".join(_source(script) for script in (library, own)),
        light=palette.LIGHT,
        dark=palette.DARK,
    )


def _cases(comparison: Comparison) -> Iterator[CaseLines]:
    titles = {case.case: case.title for run in comparison.runs for case in run.stored.cases}
    for name, rows in groupby(comparison.rows, key=lambda row: row.line.key.case):
        led: list[tuple[Row, list[Row]]] = []
        for row in rows:
            if row.line.leads:
                led.append((row, []))
            else:
                led[-1][1].append(row)
        yield CaseLines(name, titles.get(name, ""), led)


def _chart(comparison: Comparison, number: int, row: Row) -> dict[str, Any]:
    """What the script draws of one leading line."""
    known = [cell.value for cell in row.line.cells if cell.value is not None]
    divisor, unit = _scaled(row.line.key.unit, max(map(abs, known), default=0.0))
    scale = marks.Scale.of(known) if known else None
    runs = {run.id: run for run in comparison.runs}
    groups = []
    for group in comparison.groups:
        cells = [
            (cell, cell.value) for cell in row.line.cells
            if cell.group == group and cell.value is not None and cell.run in runs
        ]
        groups.append({
            "name": _inert(group),
            "colour": f"--{marks.colour(comparison, group)}",
            "values": [value / divisor for _, value in cells],
            "runs": [_inert(cell.run) for cell, _ in cells],
            "started": [runs[cell.run].stored.info.started[:19] for cell, _ in cells],
            "verdicts": [str(cell.verdict or "absent") for cell, _ in cells],
            "atLeast": [cell.at_least for cell, _ in cells],
        })
    return {"id": f"chart-{number}", "unit": unit, "log": bool(scale and scale.logarithmic), "groups": groups}


def _inert(text: str) -> str:
    """A foreign text in which plotly.js finds neither markup nor a formula."""
    return escape(clean(text)).replace("$", "&#36;")


def _scaled(unit: str, largest: float) -> tuple[float, str]:
    """By what values are divided so that they read well, and their unit then."""
    if unit.startswith("bytes"):
        step = next((step for step in range(4) if largest < 1024 ** (step + 1)), 4)
        return 1024.0**step, f"{words.MULTIPLES[step]}B{unit.removeprefix('bytes')}"
    if unit == "share":
        return 0.01, "%"
    if unit == "s" and 0 < largest < 1:
        return 0.001, "ms"
    return 1.0, "/s" if unit == "1/s" else unit


def _common(comparison: Comparison) -> list[tuple[str, str]]:
    """Conditions that a reader wants to see first, as the first run tells them; they are the same in all runs."""
    info = comparison.runs[0].stored.info
    host, versions = info.environment.get("host") or {}, info.versions
    facts = {
        "cluster": info.target.get("name"), "profile": info.settings.get("name"), "seed": info.seed,
        "KubeVirt": versions.get("kubevirt"), "Kubernetes": versions.get("kubernetes"),
        "host": ", ".join(str(host[key]) for key in ("cpu", "cores", "kernel", "qemu") if host.get(key)),
        "migration limits": json.dumps(info.environment.get("migrations") or {}, sort_keys=True),
        "emulated guests": "yes" if info.target.get("emulated") else "no",
    }
    return [(name, str(value)) for name, value in facts.items() if value not in (None, "", "{}")]


def _command(comparison: Comparison, paths: Sequence[Path]) -> str:
    options = comparison.options
    named = [("--by", options.by), ("--reference", options.reference), ("--seed", str(options.seed)),
             ("--margin", f"{options.margin:g}"), ("--alpha", f"{options.alpha:g}")]
    words_ = [word for name, value in named if value for word in (name, value)]
    several = (("--allow", options.allow), ("--case", options.cases), ("--axis", options.axes))
    words_ += [word for option, names in several for name in names for word in (option, name)]
    return shlex.join(["drainproof", "compare", *(path.name or str(path) for path in paths), *words_])


def _json(content: object) -> Markup:
    """JSON that stands between script tags: no character of it can end them or begin a comment."""
    told = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        told = told.replace(character, f"\\u{ord(character):04x}")
    return Markup(told)


@cache
def _source(script: str) -> str:
    """How the page's own policy names a script that may run: by its digest."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}'"


def _environment(comparison: Comparison) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([TEMPLATES, SHARED]), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_shown,
    )

    def effect(row: Row, pair: Pair) -> Markup:
        found, sides = pair.measured.effect, (pair.measured.reference, pair.measured.candidate)
        if found is None:
            return Markup()
        return marks.forest(comparison, found, row.line.key.better, sides, words.winner(pair))

    environment.globals |= {
        "strip": lambda row: marks.strip(comparison, row), "forest": effect,
        "colour": lambda group: marks.colour(comparison, group), "tone": lambda pair: TONES[pair.outcome],
        "words": words, "number_of": {id(row): number for number, row in enumerate(comparison.leading)},
        "identity": id,
    }
    return environment


def _shown(value: object) -> object:
    """What a template prints: markup as it is, anything else without control characters (and then escaped)."""
    return value if isinstance(value, Markup) else clean(value)
