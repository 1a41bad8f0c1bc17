"""Watch streams: the kinds of their events, whose they are, their order, and what their objects have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from typing import Any

from tests.contract.fidelity.shapes import Difference, Reply, compare, outline

Event = dict[str, Any]


def is_stream(reply: Reply) -> bool:
    """Whether an answer is a stream of events: lines of JSON, one of which is JSON itself, or nothing at all."""
    if isinstance(reply.body, dict):
        return set(reply.body) == {"type", "object"}
    return reply.status == 200 and isinstance(reply.body, str) and (not reply.body or reply.body.startswith('{"type"'))


def events(body: Any) -> list[Event]:
    """The events of a stream that has ended."""
    if isinstance(body, dict):
        return [body] if "type" in body else []
    return [json.loads(line) for line in (body or "").splitlines() if line]


def differences(
    recorded: list[Event], answered: list[Event], translate: Callable[[Any], Any]
) -> Iterator[Difference]:
    """Events that one stream has and the other has not at that place, and fields of those that both have."""
    ours, others = [_key(event) for event in recorded], [_key(event) for event in answered]
    for operation, first, last, start, end in SequenceMatcher(None, ours, others, autojunk=False).get_opcodes():
        if operation == "equal":
            for one, other in zip(recorded[first:last], answered[start:end], strict=True):
                expected, found = translate(outline(one["object"])), outline(other["object"])
                yield from compare(expected, found, f"events/{_key(one)}")
        else:
            yield from (Difference(f"events/{key}", "sent", "-") for key in ours[first:last])
            yield from (Difference(f"events/{key}", "-", "sent") for key in others[start:end])


def _key(event: Event) -> str:
    """What happened to which object, with the labels that it has in the event."""
    if event["type"] == "ERROR":
        return "ERROR"
    metadata = _metadata(event["object"])
    marks = metadata.get("annotations") if event["type"] == "BOOKMARK" else metadata.get("labels")
    told = ",".join(f"{key}={value}" for key, value in sorted((marks or {}).items()))
    return " ".join(filter(None, (event["type"], metadata.get("name", ""), told)))


def _metadata(body: Any) -> dict[str, Any]:
    if body.get("kind") == "Table":
        rows = body.get("rows") or [{}]
        body = rows[0].get("object") or {}
    return body.get("metadata") or {}
