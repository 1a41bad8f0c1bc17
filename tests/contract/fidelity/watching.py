"""The recorded watches opened again, with the same changes made while they are open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests.contract.fidelity import recorded, streams
from tests.contract.fidelity.ground import Ground
from tests.contract.fidelity.identities import Identities
from tests.contract.fidelity.recorded import Line
from tests.contract.fidelity.replay import Compared, once
from tests.contract.fidelity.shapes import Reply
from tests.contract.server import pause

TOPIC = "watch"
_LONG = range(241, 264)
"""Streams of 75 s, for the bookmark of every minute: too long to be repeated each time."""
_LEAST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0
_MOST_SECONDS = 6
"""Of one stream; the longest of those that are left is kept open to see a namespace go, which takes two."""
_STREAMS = 24
_HOME = "/api/v1/namespaces/wat/configmaps"
_FIRST_LIST = 3


def compared(ground: Ground, folder: Path) -> Iterator[Compared]:
    """Open every stream and send every request in their order; what streams have told comes last."""
    identities = Identities()
    told: dict[str, list[streams.Event]] = {}
    opened: list[tuple[Line, Future[Reply]]] = []
    ended = None
    with ThreadPoolExecutor(_STREAMS) as pool:
        for line in recorded.lines(folder, TOPIC):
            if line["kind"] == "watch":
                told.setdefault(line["stream"], []).append(line["event"])
            if line["n"] in _LONG or line["kind"] not in ("exchange", "watch-open", "watch-close"):
                continue
            now = line["t_ns"] / 1e9
            if ended is not None and now - ended >= _LEAST_PAUSE:
                pause(min(now - ended, _LONGEST_PAUSE))
            ended = now + line.get("dur_ns", 0) / 1e9
            if line["kind"] == "watch-open":
                opened.append((line, pool.submit(_open, ground, line, identities.query(line["query"]))))
                pause(_LEAST_PAUSE)
            elif line["kind"] == "watch-close":
                _wait(opened, line["stream"])
            else:
                if line["n"] == _FIRST_LIST:
                    _prepare(ground)
                yield once(ground, recorded.exchange(TOPIC, line), identities)
    for line, future in opened:
        answered = streams.events(future.result().body)
        found = streams.differences(told.get(line["stream"], []), answered, identities.translate)
        yield Compared(f"{TOPIC}:{line['n']}", line["stream"], tuple(found))


def _prepare(ground: Ground) -> None:
    """The two objects that the recorder had made before it began to write."""
    for name, colour in (("one", "red"), ("two", "blue")):
        ground.call("POST", _HOME, {"metadata": {"name": name, "labels": {"c": colour}}, "data": {"a": "1"}})


def _open(ground: Ground, line: Line, query: str) -> Reply:
    limit = re.compile(r"(?<=timeoutSeconds=)\d+")
    shorter = limit.sub(lambda found: str(min(int(found[0]), _MOST_SECONDS)), query)
    return ground.send("admin", "GET", f"{line['path']}?{shorter}", {"Accept": "application/json"})


def _wait(opened: list[tuple[Line, Future[Reply]]], stream: str) -> None:
    """A stream that was over in the recording before the next request is over here too."""
    for line, future in opened:
        if line["stream"] == stream:
            future.result()
