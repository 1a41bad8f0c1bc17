"""What the harness has sent to a lab's API server, by its audit log, held against a real cluster's schemas."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.kinds import KINDS
from tests.contract import schemas

HARNESS = "drainproof"
PATCHES = ("patch",)
EVICTION = "eviction"


def bodies(audit: Path) -> Iterator[tuple[dict[str, Any], bool]]:
    """Each body that was sent, with its type, and whether it is a whole object or part of one."""
    kinds = {(kind.group, kind.plural): kind for kind in KINDS}
    for line in audit.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        place = event["objectRef"]
        kind = kinds.get((place.get("apiGroup", ""), place.get("resource", "")))
        body = event.get("requestObject")
        if not event["userAgent"].startswith(HARNESS) or not isinstance(body, dict) or event["verb"] == "delete":
            continue
        if place.get("subresource") not in (None, "status", EVICTION) or kind is None:
            continue
        whole = event["verb"] not in PATCHES or "apiVersion" in body
        yield {"apiVersion": kind.api_version, "kind": kind.name, **(body if whole else _without_nulls(body))}, whole


def _without_nulls(patch: Any) -> Any:
    """What a merge patch sets: by null it takes a field away."""
    if not isinstance(patch, dict):
        return patch
    return {key: _without_nulls(value) for key, value in patch.items() if value is not None}


def faults(audit: Path) -> tuple[Counter[str], dict[str, list[str]], set[str]]:
    """How many bodies of each kind are right, what is wrong with the others, and kinds that were not recorded."""
    right: Counter[str] = Counter()
    wrong: dict[str, list[str]] = {}
    unknown: set[str] = set()
    for body, whole in bodies(audit):
        if not schemas.known(body["apiVersion"], body["kind"]):
            unknown.add(body["kind"])
        elif found := schemas.faults(body, whole=whole):
            wrong.setdefault(body["kind"], found)
        else:
            right[body["kind"]] += 1
    return right, wrong, unknown
