"""Exchanges recorded from a real cluster, sent again to the lab: the answers agree in what a client sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.contract.server import Answer, ApiServer, running

RECORDED = Path(__file__).parent / "recorded"


class Identities:
    """Recorded uids and resourceVersions, translated into those that the lab gave the same objects."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def learn(self, recorded: dict[str, Any], answer: Answer) -> None:
        for field, text in recorded.get("identity", {}).items():
            if isinstance(answer.body, dict) and field in answer.body.get("metadata", {}):
                self._known[str(text)] = str(answer.body["metadata"][field])

    def translate(self, value: Any) -> Any:
        text = json.dumps(value)
        for recorded, own in self._known.items():
            text = text.replace(json.dumps(recorded), json.dumps(own))
            if len(recorded) > 30:
                text = text.replace(recorded, own)
        return json.loads(text)


def shape(body: Any) -> Any:
    """What is compared: a Status in full, of an object its type and the names of its fields."""
    if not isinstance(body, dict):
        return body
    if body.get("kind") == "Status":
        return {key: body.get(key) for key in ("status", "code", "reason", "message", "details")}
    metadata = sorted(set(body.get("metadata") or {}) - {"managedFields"})
    names = {"fields": sorted(body), "metadata": metadata}
    return {"kind": body.get("kind"), "apiVersion": body.get("apiVersion"), **names}


def send(server: ApiServer, request: dict[str, Any]) -> Answer:
    path = request["path"] + (f"?{request['query']}" if request.get("query") else "")
    token = None if request["as"] == "anonymous" else ""
    return server.call(request["method"], path, request.get("body"), token=token, headers=request.get("headers"))


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.glob("*.json")))
def test_recorded_exchanges(name: str, tmp_path: Path) -> None:
    """Status code, reason, message, details and field names are those of the real server."""
    exchanges = json.loads((RECORDED / f"{name}.json").read_text())
    identities = Identities()
    differences = []
    with running(tmp_path) as server:
        for exchange in exchanges:
            answer = send(server, identities.translate(exchange["request"]))
            identities.learn(exchange, answer)
            expected = {"status": exchange["status"], "body": identities.translate(exchange["shape"])}
            found = {"status": answer.status, "body": shape(answer.body)}
            if found != expected:
                differences.append(f"{exchange['case']}\n  recorded {expected}\n  answered {found}")
    assert not differences, "\n".join(differences)
