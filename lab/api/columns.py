"""What `kubectl get` shows of each kind: columns and cells, as the real server prints them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lab.api.errors import Object

NONE = "<none>"
UNSET = "<unset>"


@dataclass(frozen=True)
class Column:
    """One column; `wide` ones are shown by `-o wide` only."""

    name: str
    cell: Callable[[Object], Any]
    type: str = "string"
    wide: bool = False

    def definition(self) -> Object:
        return {
            "name": self.name, "type": self.type, "format": "name" if self.name == "Name" else "",
            "description": "", "priority": 1 if self.wide else 0,
        }


def path(text: str, default: Any = "") -> Callable[[Object], Any]:
    """The value at a dotted path; a number selects from a list."""
    parts = text.split(".")

    def cell(body: Object) -> Any:
        value: Any = body
        for part in parts:
            if isinstance(value, list):
                value = value[int(part)] if len(value) > int(part) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def condition(kind: str, default: str | None = None) -> Callable[[Object], Any]:
    def cell(body: Object) -> Any:
        for item in (body.get("status") or {}).get("conditions") or []:
            if item.get("type") == kind:
                return item.get("status", default)
        return default

    return cell


def age_of(stamp: str | None) -> str:
    """The short duration since an RFC 3339 time, as kubectl writes it."""
    if not stamp:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    return short_duration(int((datetime.now(UTC) - then).total_seconds()))


def short_duration(seconds: int) -> str:
    if seconds < 0:
        return "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y"


def _age(body: Object) -> str:
    return age_of(body["metadata"].get("creationTimestamp"))


NAME = Column("Name", path("metadata.name"))
AGE = Column("Age", _age)
CUSTOM_AGE = Column("Age", _age, "date")
