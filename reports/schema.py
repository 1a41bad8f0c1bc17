"""The published schema of verdict.json: `python -m reports.schema` writes docs/schemas/verdict.schema.json anew.

It is made from the dataclasses that the file is written from, so it cannot tell anything else than they do.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from reports.verdict import FORMAT, CaseVerdict

PATH: Final = Path(__file__).resolve().parent.parent / "docs" / "schemas" / "verdict.schema.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ADDED_LATER: Final = {"CaseVerdict": {"figures"}, "Figure": {"resolution", "at_least"}}
"""What verdicts that were written before do not have; everything else is always there."""


def schema() -> dict[str, Any]:
    """The JSON schema of a verdict of this format."""
    made = TypeAdapter(CaseVerdict).json_schema(mode="serialization")
    definitions = made.pop("$defs")
    for name, one in {**definitions, "CaseVerdict": made}.items():
        if one.get("type") == "object":
            one["additionalProperties"] = False
            one["required"] = sorted(set(one["properties"]) - ADDED_LATER.get(name, set()))
    made["properties"]["format"] = {"const": FORMAT, "title": "Format"}
    return {
        "$schema": DIALECT, "$id": "verdict.schema.json", **made,
        "title": "The verdict about one case of a drainproof run", "$defs": definitions,
    }


def text() -> str:
    """The file as it is published."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the file."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
