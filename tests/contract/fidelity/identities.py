"""Recorded names that a server gives by itself, and those that the lab gave in their place."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, quote

_OWN = ("uid", "resourceVersion", "continue")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_LEAST_LENGTH = 4
"""A shorter resourceVersion would be taken for a number that is part of a text."""


class Identities:
    """Recorded uids, resourceVersions, tokens and generated names, translated into those of the lab."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def know(self, recorded: str, answered: str) -> None:
        """Put a recorded name beside the one that stands in the lab for it."""
        self._known[recorded] = answered

    def learn(self, recorded: Any, answered: Any) -> None:
        """Put what a server chose in the recording beside what the lab chose at the same place."""
        if isinstance(recorded, dict) and isinstance(answered, dict):
            own = (*_OWN, "name") if "generateName" in recorded else _OWN
            for key in recorded.keys() & answered.keys():
                if key in own and len(str(recorded[key])) >= _LEAST_LENGTH:
                    self._known[str(recorded[key])] = str(answered[key])
                self.learn(recorded[key], answered[key])
        elif isinstance(recorded, list) and isinstance(answered, list):
            by_name = {_name(item): item for item in answered}
            for item in recorded:
                self.learn(item, by_name.get(_name(item)) if _name(item) else None)

    def refused(self, recorded: Any, answered: Any) -> None:
        """The name that a server made up for an object which it then did not take."""
        one, other = ((body.get("details") or {}).get("name") for body in (recorded, answered))
        if one and other:
            self._known[one] = other

    def translate(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.translate(key): self.translate(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.translate(inner) for inner in value]
        if isinstance(value, str):
            return self._known.get(value) or _TOKEN.sub(lambda found: self._known.get(found[0], found[0]), value)
        return value

    def query(self, text: str) -> str:
        """A query with its values translated."""
        pairs = parse_qsl(text, keep_blank_values=True)
        return "&".join(f"{key}={quote(self.translate(value), safe='')}" for key, value in pairs)


def _name(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    metadata = item.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
