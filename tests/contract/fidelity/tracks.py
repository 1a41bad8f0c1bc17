"""The order in which something happened, of a piece of several watch streams: phases, conditions, fields, events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Any

from tests.contract.fidelity.shapes import Difference

Seen = tuple[str, dict[str, Any]]
"""The name of a stream and one event of it."""
Track = list[str]
_SOURCES = {
    "vm": "vm", "vmi-phases": "vmi", "vmi-ready": "vmi", "migration-state": "vmi", "vmim": "vmim", "pods": "pods",
    "events": "events", "node": "nodes",
}


def tracks(seen: list[Seen]) -> dict[str, Track]:
    """Each track by its name, with what did not change left out."""
    return {name: _without_repeats(_TELLERS[name](_objects(seen, stream))) for name, stream in _SOURCES.items()}


def differences(recorded: Track, answered: Track) -> Iterator[Difference]:
    """What one track has and the other has not at that place; what both have, but elsewhere, is `moved`."""
    missing: Track = []
    added: Track = []
    matcher = SequenceMatcher(None, recorded, answered, autojunk=False)
    for operation, first, last, start, end in matcher.get_opcodes():
        if operation != "equal":
            missing += recorded[first:last]
            added += answered[start:end]
    yield from (Difference(f"moved/{step}", "there", "elsewhere") for step in missing if step in added)
    yield from (Difference(f"order/{step}", "there", "-") for step in missing if step not in added)
    yield from (Difference(f"order/{step}", "-", "there") for step in added if step not in missing)


def _objects(seen: list[Seen], stream: str) -> list[dict[str, Any]]:
    return [event["object"] for name, event in seen if name == stream and event["type"] in ("ADDED", "MODIFIED")]


def _without_repeats(steps: Iterator[str]) -> Track:
    found: Track = []
    for step in steps:
        if step and (not found or found[-1] != step):
            found.append(step)
    return found


def _status(body: dict[str, Any]) -> dict[str, Any]:
    return body.get("status") or {}


def _machines(bodies: list[dict[str, Any]]) -> Iterator[str]:
    for body in bodies:
        yield str(_status(body).get("printableStatus", ""))


def _phases(bodies: list[dict[str, Any]]) -> Iterator[str]:
    for body in bodies:
        yield str(_status(body).get("phase", ""))


def _ready(bodies: list[dict[str, Any]]) -> Iterator[str]:
    for body in bodies:
        for condition in _status(body).get("conditions") or []:
            if condition["type"] == "Ready":
                yield f"Ready={condition['status']} {condition.get('reason') or ''}".strip()


def _migration_states(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """The fields that came with each write, a line each, from the first write of a new migration on."""
    known: set[str] = set()
    uid = None
    for body in bodies:
        state = _status(body).get("migrationState") or {}
        if uid is None:
            uid = state.get("migrationUid", "")
            known = set(state)
        if state.get("migrationUid", "") != uid:
            uid, known = state.get("migrationUid", ""), set()
        new = set(state) - known
        known |= new
        if state.get("migrationUid"):
            yield from (f"+{field}" for field in sorted(new))


def _pods(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """Phase and readiness of the last pod that is made in the piece, or where none is, of the last that changes."""
    made = [body["metadata"]["name"] for body in bodies if not _status(body).get("conditions")]
    followed = made or [body["metadata"]["name"] for body in bodies]
    for body in bodies:
        if body["metadata"]["name"] == followed[-1]:
            ready = [item["status"] for item in _status(body).get("conditions") or [] if item["type"] == "Ready"]
            yield " ".join([str(_status(body).get("phase", "")), *(f"Ready={status}" for status in ready)])


def _events(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """Each sort of event once, when it was told first."""
    told: set[str] = set()
    for body in bodies:
        step = f"{body['involvedObject']['kind']} {body['reason']} {body['type']}"
        if step not in told:
            told.add(step)
            yield step


def _node(bodies: list[dict[str, Any]]) -> Iterator[str]:
    """What a node says of itself and the taints that it has got."""
    for body in bodies:
        ready = [item["status"] for item in _status(body).get("conditions") or [] if item["type"] == "Ready"]
        taints = [f"{taint['key']}:{taint['effect']}" for taint in body["spec"].get("taints") or []]
        yield " ".join([*(f"Ready={status}" for status in ready), *sorted(taints)])


_TELLERS: dict[str, Callable[[list[dict[str, Any]]], Iterator[str]]] = {
    "vm": _machines, "vmi-phases": _phases, "vmi-ready": _ready, "migration-state": _migration_states,
    "vmim": _phases, "pods": _pods, "events": _events, "node": _node,
}
