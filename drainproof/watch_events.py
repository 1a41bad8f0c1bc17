"""The events of a watch, as they come over an open answer of the API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

from urllib3 import BaseHTTPResponse

from drainproof.errors import ApiError
from drainproof.resources import Object


def watch_events(events: BaseHTTPResponse) -> Iterator[tuple[str, Object]]:
    """Yield (type, object) of each event of a stream until it ends.

    Raises ApiError with the code that the server ends it with, ValueError when it ends within an event, and what
    urllib3 raises when the connection breaks.
    """
    pending = b""
    for chunk in events.stream(decode_content=False):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if event["type"] == "ERROR":
                status = event["object"]
                raise ApiError("watch", int(status["code"]), status.get("reason", ""), status.get("message", ""))
            yield event["type"], event["object"]
    if pending.strip():
        raise ValueError(f"it ended within an event: {pending[:100]!r}")


def break_off(events: BaseHTTPResponse) -> None:
    """Let whoever reads the events find their end; nothing happens to a watch that is over."""
    with suppress(ValueError, RuntimeError, OSError):
        events.shutdown()
