"""Plain HTTP to the lab's API server, with every header of an answer."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any

import yaml

from lab.config import LabConfig
from tests.contract.fidelity.shapes import Reply

SECONDS = 20.0
"""Longer than any recorded request without a stream lasts."""


def send(
    config: LabConfig, method: str, path: str, headers: dict[str, str], body: Any = None, token: str | None = None
) -> Reply:
    """Send one request on a connection of its own; without a token it is anonymous."""
    context = ssl.create_default_context(cafile=str(config.ca_file))
    host = config.server_url.removeprefix("https://")
    sent = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    with contextlib.closing(http.client.HTTPSConnection(host, context=context, timeout=SECONDS)) as connection:
        connection.request(method, path, data, sent)
        answer = connection.getresponse()
        found: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            found.setdefault(name.lower(), []).append(value)
        return Reply(answer.status, found, parsed(answer.read(), "".join(found.get("content-type", []))))


def parsed(data: bytes, content_type: str) -> Any:
    """The body by its type; what is neither JSON nor YAML is text, and what is no text is None."""
    with contextlib.suppress(ValueError):
        text = data.decode()
        if "yaml" in content_type:
            return yaml.safe_load(text)
        with contextlib.suppress(ValueError):
            return json.loads(text)
        return text
    return None


def stream(config: LabConfig, path: str, token: str) -> Iterator[dict[str, Any]]:
    """The events of a watch as they come, until the server ends it or is gone."""
    context = ssl.create_default_context(cafile=str(config.ca_file))
    host = config.server_url.removeprefix("https://")
    headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
    with (
        contextlib.closing(http.client.HTTPSConnection(host, context=context)) as connection,
        contextlib.suppress(OSError, http.client.HTTPException),
    ):
        connection.request("GET", path, headers=headers)
        for line in connection.getresponse():
            yield json.loads(line)
