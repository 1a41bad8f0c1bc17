"""Writing a comparison: the page, the document and the two tables, each in one step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reports.compare.comparison import Comparison
from reports.compare.document import document
from reports.compare.page import page
from reports.compare.tables import conclusions, values

PAGE: Final = "comparison.html"


def publish(comparison: Comparison, paths: Sequence[Path], directory: Path) -> list[Path]:
    """Write all four files; `paths` is what the command was given. Returns them, the page first."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {
        PAGE: page(comparison, paths),
        "comparison.json": document(comparison),
        "comparison.csv": conclusions(comparison),
        "values.csv": values(comparison),
    }
    return [_write(directory / name, content) for name, content in contents.items()]


def _write(path: Path, content: str) -> Path:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(content, encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)
    return path
