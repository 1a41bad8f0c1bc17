"""How plotly.js wants to be told: strings that stand for themselves, colours by name, columns as typed arrays."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy.typing as npt

from reports.text import clean

SPECIAL = re.compile(r"[&<>%{}$]")

Json = dict[str, Any]


def literal(text: object) -> str:
    """A string that plotly.js shows as it is, whatever is in it."""
    return SPECIAL.sub(lambda found: f"&#{ord(found.group())};", clean(text))


def colour(name: str) -> str:
    """A colour of the palette, as the page's style sheet knows it."""
    return f"var(--{name})"


def packed(values: npt.NDArray[Any], kind: str) -> Json:
    """A column as plotly.js reads typed arrays: little-endian bytes in base64; two dimensions keep their shape."""
    found: Json = {"dtype": kind, "bdata": base64.b64encode(values.astype(f"<{kind}").tobytes()).decode("ascii")}
    return found | ({"shape": ", ".join(map(str, values.shape))} if values.ndim > 1 else {})
