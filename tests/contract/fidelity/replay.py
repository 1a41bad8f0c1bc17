"""Recorded requests sent again, one after another, and what was answered otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from drainproof.wait import Deadline
from tests.contract.fidelity import streams, wire
from tests.contract.fidelity.ground import Ground
from tests.contract.fidelity.identities import Identities
from tests.contract.fidelity.recorded import Exchange, Line
from tests.contract.fidelity.shapes import Difference, Reply, differences
from tests.contract.server import pause

_LEAST_PAUSE, _LONGEST_PAUSE = 0.4, 3.0
"""Seconds: the recorder waited where it let more pass; longer waits were for what the lab does at once."""


_GONE_SECONDS = 10.0
_ACCEPTED = "accepted: "
"""So begins the look at a machine that was expected to be refused; the recorder deleted it afterwards."""


def _pages(ground: Ground) -> None:
    """The objects of the recorded pages and selectors, which the recorder made without writing it down."""
    for number in range(7):
        labels = {"pg": "1", "n": str(number)}
        body = {"metadata": {"name": f"pg-{number}", "labels": labels}, "data": {"a": "1"}}
        ground.call("POST", "/api/v1/namespaces/crud/configmaps", body)


_SETTLES = frozenset({"crud:125"})
"""Lists of what a controller makes."""
_BEFORE = {"crud:213": _pages}
"""What has to be there before a request and was not recorded."""


@dataclass(frozen=True)
class Compared:
    """One thing that was compared, by its place in the recordings, and all in which it differs."""

    place: str
    case: str
    differences: tuple[Difference, ...]


def replay(ground: Ground, exchanges: Iterable[Exchange], identities: Identities) -> Iterator[Compared]:
    """Send the requests in their order, with the pauses that the recorder made between them."""
    ended = None
    for exchange in exchanges:
        if ended is not None and exchange.sent - ended >= _LEAST_PAUSE:
            pause(min(exchange.sent - ended, _LONGEST_PAUSE))
        ended = exchange.ended
        if exchange.place in _BEFORE:
            _BEFORE[exchange.place](ground)
        yield once(ground, exchange, identities)
        if exchange.case.startswith(_ACCEPTED):
            _remove(ground, exchange.request["path"])


def once(ground: Ground, exchange: Exchange, identities: Identities) -> Compared:
    """Send one request and compare its answer; what the recorded server did not let in is taken away again."""
    recorded = answer(exchange.response)
    answered = _settled(ground, exchange, identities, recorded)
    identities.learn(recorded.body, answered.body)
    if "generateName" in _metadata(exchange.request.get("body")):
        identities.refused(recorded.body, answered.body)
    if recorded.status >= 400 and answered.status == 201 and "dryRun" not in exchange.request.get("query", ""):
        _remove(ground, f"{exchange.request['path']}/{answered.body['metadata']['name']}")
    if streams.is_stream(recorded) and recorded.status == answered.status:
        told = streams.events(recorded.body), streams.events(answered.body)
        return Compared(exchange.place, exchange.case, tuple(streams.differences(*told, identities.translate)))
    return Compared(exchange.place, exchange.case, tuple(differences(recorded, answered, identities.translate)))


def _settled(ground: Ground, exchange: Exchange, identities: Identities, recorded: Reply) -> Reply:
    """The answer; where controllers had done their work in the recording, they are given time to do it here."""
    deadline = Deadline(_GONE_SECONDS)
    while True:
        answered = send(ground, exchange, identities)
        if exchange.request["method"] != "GET" or deadline.expired:
            return answered
        late = recorded.status == 404 and answered.status == 200
        if not late and not (exchange.place in _SETTLES and len(answered.body["items"]) < len(recorded.body["items"])):
            return answered
        pause(0.05)


def _remove(ground: Ground, path: str) -> None:
    """Delete an object and wait until it is gone."""
    ground.call("DELETE", path)
    deadline = Deadline(_GONE_SECONDS)
    while ground.call("GET", path).status != 404 and not deadline.expired:
        pause(0.05)


def _metadata(body: Any) -> Line:
    return body.get("metadata") or {} if isinstance(body, dict) else {}


def send(ground: Ground, exchange: Exchange, identities: Identities) -> Reply:
    request = exchange.request
    path = identities.translate(request["path"])
    if request.get("query"):
        path += f"?{identities.query(request['query'])}"
    caller = ground.caller(exchange.caller, exchange.case)
    headers, body = request.get("headers") or {}, identities.translate(request.get("body"))
    return ground.send(caller, request["method"], path, headers, body)


def answer(response: Line) -> Reply:
    """A recorded answer, read as an answer of the lab's is."""
    headers = {
        name.lower(): value if isinstance(value, list) else [value] for name, value in response["headers"].items()
    }
    body = response.get("body")
    if isinstance(body, str):
        content_type = "".join(headers.get("content-type", []))
        body = None if "protobuf" in content_type else wire.parsed(body.encode(), content_type)
    return Reply(response["status"], headers, body)
