"""The documents say what is true now."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

PROJECT = Path(__file__).parents[2]
CODE = ("drainproof", "suites", "fixtures", "scenarios", "load", "reports", "lab", "bench")


def test_the_map_is_current() -> None:
    """docs/map.md is what docs/make_map.py writes from the modules as they are."""
    place = importlib.util.spec_from_file_location("make_map", PROJECT / "docs" / "make_map.py")
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    current = (PROJECT / "docs" / "map.md").read_text(encoding="utf-8")
    assert current == module.render(), "run `python docs/make_map.py`"


def test_every_module_introduces_itself() -> None:
    """A module that holds code begins with a sentence about itself."""
    silent = []
    for room in CODE:
        for path in (PROJECT / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if text.strip() and not ast.get_docstring(ast.parse(text)):
                silent.append(str(path.relative_to(PROJECT)))
    assert not silent


def test_the_readme_s_scenario_is_the_real_one() -> None:
    """The scenario shown in README.md stands in the suites, line for line."""
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert shown is not None
    assert shown.group(1) in (PROJECT / "suites" / "high_availability" / "test_drain.py").read_text(encoding="utf-8")
