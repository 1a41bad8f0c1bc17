"""One stored version of an object: immutable by agreement, encoded once however many clients read it."""

from __future__ import annotations

import json
from functools import cached_property

from lab.api.errors import Object
from lab.kinds import Kind


def encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Stored:
    """An object as one resourceVersion left it; nobody may change `body` after construction."""

    def __init__(self, kind: Kind, body: Object) -> None:
        self.kind = kind
        self.body = body
        meta = body["metadata"]
        self.namespace: str = meta.get("namespace", "")
        self.name: str = meta["name"]
        self.version = int(meta.get("resourceVersion") or 0)

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name

    def at_version(self, version: int) -> Stored:
        """The same state under another resourceVersion, as a selector watch reports what left its view."""
        meta = {**self.body["metadata"], "resourceVersion": str(version)}
        return Stored(self.kind, {**self.body, "metadata": meta})

    @cached_property
    def _rest(self) -> bytes:
        """The JSON text after kind and apiVersion, without the opening brace."""
        fields = {key: value for key, value in self.body.items() if key not in ("kind", "apiVersion")}
        return encode(fields)[1:]

    @cached_property
    def json(self) -> bytes:
        head = f'{{"kind":"{self.kind.name}","apiVersion":"{self.kind.api_version}",'
        return head.encode() + self._rest

    @property
    def list_item(self) -> bytes:
        """As it stands in a list: core kinds leave kind and apiVersion out there."""
        return self.json if self.kind.custom else b"{" + self._rest
