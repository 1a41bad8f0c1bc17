"""The audit log: what clients asked of the API server, as Kubernetes' audit events; of what is secret, no content."""

from __future__ import annotations

import json
import logging
import uuid
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab.api.caller import Attributes
from lab.api.request_attributes import attributes

WRITES = ("create", "update", "patch", "delete", "deletecollection")
UNSAID = ("secrets", "tokenreviews", "serviceaccounts/token")
"""What is logged at level Metadata: their bodies are secrets."""
LARGEST_BYTES = 50_000_000
COMPONENTS = "lab"
"""How the user agents of the lab's own controllers and agents begin: they are not logged, being most of the traffic."""
Event = dict[str, Any]


def auditing(file: Path) -> Middleware:
    """A middleware that adds a line for every request of a client once it is answered; one older file is kept.

    Writes are logged with what was sent (level Request), all else, and Secrets, without (level Metadata), as
    audit.k8s.io/v1 has it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = logging.Logger("audit")
    lines.addHandler(RotatingFileHandler(file, maxBytes=LARGEST_BYTES, backupCount=1, encoding="utf-8"))

    @web.middleware
    async def audit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.headers.get("User-Agent", "").startswith(COMPONENTS):
            return await handler(request)
        received = datetime.now(UTC)
        answer = await handler(request)
        asked = attributes(request.method, request.path, request.query)
        event = _event(request, asked, answer.status, received)
        if asked.verb in WRITES and asked.full_resource not in UNSAID:
            event |= await _sent(request)
        lines.info("%s", json.dumps(event))
        return answer

    return audit


def _event(request: web.Request, asked: Attributes, code: int, received: datetime) -> Event:
    return {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "stage": "ResponseComplete",
        "auditID": str(uuid.uuid4()), "requestURI": request.path_qs, "verb": asked.verb,
        "userAgent": request.headers.get("User-Agent", ""), "objectRef": _reference(asked),
        "responseStatus": {"code": code},
        "requestReceivedTimestamp": _stamp(received), "stageTimestamp": _stamp(datetime.now(UTC)),
    }


def _reference(asked: Attributes) -> dict[str, str]:
    found = {
        "apiGroup": asked.group, "resource": asked.resource, "subresource": asked.subresource,
        "namespace": asked.namespace, "name": asked.name,
    }
    return {key: value for key, value in found.items() if value}


async def _sent(request: web.Request) -> Event:
    """What was sent, where that is JSON, or the YAML that JSON is; empty otherwise."""
    try:
        return {"level": "Request", "requestObject": json.loads(await request.read())}
    except (ValueError, OSError):
        return {}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
