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


def owners(body: Any) -> list[dict[str, Any]]:
    """Who owns which fields of an object, without the moments at which that changed."""
    return [
        {"manager": entry["manager"], "operation": entry["operation"], "timed": "time" in entry,
         "fieldsV1": entry["fieldsV1"]}
        for entry in body["metadata"].get("managedFields", [])
    ]


class Callers:
    """The tokens of those whose requests were recorded; None is no token, "" the administrator's."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._tokens: dict[str, str | None] = {"admin": "", "anonymous": None, "wrong token": "nonsense"}

    def token(self, name: str) -> str | None:
        """Everybody else is a service account without rights in the namespace demo, made when first asked for."""
        if name not in self._tokens:
            self._server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "demo"}})
            accounts = "/api/v1/namespaces/demo/serviceaccounts"
            self._server.call("POST", accounts, {"metadata": {"name": name}})
            self._tokens[name] = self._server.call("POST", f"{accounts}/{name}/token", {}).body["status"]["token"]
        return self._tokens[name]


def send(server: ApiServer, request: dict[str, Any], token: str | None) -> Answer:
    path = request["path"] + (f"?{request['query']}" if request.get("query") else "")
    return server.call(request["method"], path, request.get("body"), token=token, headers=request.get("headers"))


@pytest.mark.parametrize("name", sorted(path.stem for path in RECORDED.glob("*.json")))
def test_recorded_exchanges(name: str, tmp_path: Path) -> None:
    """Status code, reason, message, details and field names are those of the real server."""
    exchanges = json.loads((RECORDED / f"{name}.json").read_text())
    identities = Identities()
    differences = []
    with running(tmp_path) as server:
        callers = Callers(server)
        for exchange in exchanges:
            request = identities.translate(exchange["request"])
            answer = send(server, request, callers.token(request["as"]))
            identities.learn(exchange, answer)
            expected = {"status": exchange["status"], "body": identities.translate(exchange["shape"])}
            found = {"status": answer.status, "body": shape(answer.body)}
            if "owners" in exchange:
                expected["owners"], found["owners"] = exchange["owners"], owners(answer.body)
            if found != expected:
                differences.append(f"{exchange['case']}\n  recorded {expected}\n  answered {found}")
    assert not differences, "\n".join(differences)
