"""Errors that the API answers with: each is a Kubernetes Status with code, reason, message and details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.kinds import Kind

Object = dict[str, Any]
"""A Kubernetes object as plain JSON."""


class StatusError(Exception):
    """A request ends with this Status; `headers` are sent along."""

    def __init__(
        self, code: int, reason: str | None, message: str, details: Object | None = None, *,
        headers: dict[str, str] | None = None, metadata: Object | None = None,
    ) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}
        self.metadata = metadata or {}

    def status(self) -> Object:
        body: Object = {
            "kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


class PlainError(Exception):
    """A request ends with plain text, as the real server does outside of its resource handlers."""

    def __init__(self, code: int, text: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.headers = headers or {}


def resource_name(kind: Kind) -> str:
    """`virtualmachines.kubevirt.io`, or the plural alone for the core group."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def kind_name(kind: Kind) -> str:
    return f"{kind.name}.{kind.group}" if kind.group else kind.name


def _details(kind: Kind, name: str, noun: str) -> Object:
    details: Object = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    return {**details, "kind": noun}


def not_found(kind: Kind, name: str) -> StatusError:
    message = f'{resource_name(kind)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(kind, name, kind.plural))


def unknown_path() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(kind: Kind, name: str, *, deleting: bool = False) -> StatusError:
    message = f'{resource_name(kind)} "{name}" already exists'
    if deleting:
        message = f"object is being deleted: {message}"
    return StatusError(409, "AlreadyExists", message, _details(kind, name, kind.plural))


def conflict(kind: Kind, name: str, text: str) -> StatusError:
    message = f'Operation cannot be fulfilled on {resource_name(kind)} "{name}": {text}'
    return StatusError(409, "Conflict", message, _details(kind, name, kind.plural))


def stale(kind: Kind, name: str) -> StatusError:
    text = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(kind, name, text)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def method_not_allowed() -> StatusError:
    return StatusError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def internal(message: str) -> StatusError:
    causes = {"causes": [{"message": message}]}
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", causes)


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


Cause = tuple[str, str, str]
"""(reason, field, message) of one invalid field, such as ("FieldValueRequired", "spec.ports", "Required value")."""


def required(field: str, text: str = "") -> Cause:
    return "FieldValueRequired", field, f"Required value: {text}" if text else "Required value"


def invalid_value(field: str, value: str, text: str) -> Cause:
    return "FieldValueInvalid", field, f"Invalid value: {value}: {text}"


def forbidden_value(field: str, text: str) -> Cause:
    return "FieldValueForbidden", field, f"Forbidden: {text}"


def unsupported(field: str, value: str, supported: Sequence[str]) -> Cause:
    choices = ", ".join(f'"{choice}"' for choice in supported)
    return "FieldValueNotSupported", field, f"Unsupported value: {value}: supported values: {choices}"


def _causes(causes: Sequence[Cause]) -> list[Object]:
    return [
        {"reason": reason, "message": message} | ({"field": field} if field else {})
        for reason, field, message in causes
    ]


def invalid_noun(noun: str, name: str, details: Object, causes: Sequence[Cause]) -> StatusError:
    texts = [f"{field}: {message}" for _, field, message in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    message = f'{noun} "{name}" is invalid: {listed}'
    return StatusError(422, "Invalid", message, {**details, "causes": _causes(causes)})


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 for an object whose fields do not validate."""
    return invalid_noun(kind_name(kind), name, _details(kind, name, kind.name), causes)


def invalid_options(options: str, causes: Sequence[Cause]) -> StatusError:
    """422 for bad query options; `options` is ListOptions, CreateOptions, ..."""
    details = {"group": "meta.k8s.io", "kind": options}
    return invalid_noun(f"{options}.meta.k8s.io", "", details, causes)


def unsupported_media(accepted: Sequence[str]) -> StatusError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return StatusError(415, "UnsupportedMediaType", message)


def denied(webhook: str, code: int, message: str, causes: Sequence[Cause] = ()) -> StatusError:
    """A validating webhook's refusal: it has no reason but for 422, as the real server passes it on."""
    text = f'admission webhook "{webhook}" denied the request: {message}'
    details = {"causes": _causes(causes)} if causes else None
    return StatusError(code, "Invalid" if code == 422 else None, text, details)
