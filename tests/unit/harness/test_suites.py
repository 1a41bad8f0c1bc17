"""What every test of the suites has in common: it reads alike, and its record has a place of its own."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

SUITES = Path(__file__).parents[3] / "suites"
LONGEST_TEST = 30


def certifications() -> list[tuple[str, ast.FunctionDef]]:
    """Every test of the suites with the file that it stands in."""
    return [
        (str(path.relative_to(SUITES)), node)
        for path in sorted(SUITES.rglob("test_*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.mark.parametrize(("file", "test"), [pytest.param(*one, id=one[1].name) for one in certifications()])
def test_a_certification_says_what_it_certifies(file: str, test: ast.FunctionDef) -> None:
    """A sentence for the certificate, what it needs, what is expected; short enough to be read at one glance."""
    title, _, rest = (ast.get_docstring(test) or "").partition("\n")
    assert title.endswith("."), file
    assert "Preconditions:" in rest, file
    assert "Expected:" in rest, file
    assert (test.end_lineno or 0) - test.lineno < LONGEST_TEST, file
    assert ast.unparse(test.body[-1]) in ("certification.conclude()", "storage.conclude()"), file


def test_each_certification_has_a_name_of_its_own() -> None:
    """A case's directory bears the name of its test, and all cases of a run lie side by side."""
    names = Counter(test.name for _, test in certifications())
    assert [name for name, count in names.items() if count > 1] == []
