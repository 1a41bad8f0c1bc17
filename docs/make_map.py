"""Writes docs/map.md: every room with its purpose, every module with the first sentence of its docstring."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = ("drainproof", "suites", "fixtures", "scenarios", "load", "reports", "lab", "bench", "tests", "docs")

HEAD = """# The map

Every module in a sentence, so that the room for a change is found within a minute. `python docs/make_map.py`
writes this page from the modules' own docstrings, and a unit test fails when it is out of date.

Imports point down only: `suites`, then `fixtures`, then `scenarios`, `load` and `reports` (which never import each
other), then `drainproof`. The lab is a program of its own: nothing of the harness imports it, and it imports nothing of
the harness. Those who disturb, observe and judge meet in the record (`drainproof/record`), nowhere else.

| I want to change ... | Look in |
|---|---|
| what is certified, and in which order things happen | `suites/`, steps in `fixtures/certification.py` |
| a limit, a rate, a time budget | `suites/profiles/*.toml`, meaning in `drainproof/settings.py` |
| how a node is drained | `scenarios/drain.py` |
| what clients do, how they are timed | `load/` |
| when a claim passes, fails or is unknown | `reports/checks/`, one module per claim |
| how the certificate looks | `reports/render.py`, `reports/templates/` |
| how the lab answers a request | `lab/api/` |
| how the lab reacts to an object | `lab/controllers/`, one per file |
| how a guest is started or migrated | `lab/agent/` |
| what is inside a guest | `lab/image/guest/` |
"""


def render() -> str:
    """The content of docs/map.md."""
    parts = [HEAD]
    for room in ROOMS:
        modules = sorted(path for path in (PROJECT / room).rglob("*.py") if "__pycache__" not in path.parts)
        lines = [f"- `{path.relative_to(PROJECT)}`: {_sentence(path)}" for path in modules if _sentence(path)]
        parts.append(f"\n## {room}/\n\n" + "\n".join(lines) + "\n")
    return "".join(parts)


def _sentence(path: Path) -> str:
    """The first paragraph of a module's docstring; empty for an empty file."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split())


if __name__ == "__main__":
    (PROJECT / "docs" / "map.md").write_text(render(), encoding="utf-8")
    sys.exit(0)
