"""What the client sends and wants: media types of bodies and the forms of an answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from lab.api import protobuf
from lab.api.errors import StatusError, bad_request, unsupported_media

JSON_TYPE = "application/json"
YAML_TYPE = "application/yaml"
MEDIA_TYPES = (JSON_TYPE, YAML_TYPE, protobuf.MEDIA_TYPE)
"""What the real server names in its refusals; the lab reads a few kinds in protobuf, and writes none."""
PLAIN, TABLE, PARTIAL = "plain", "table", "partial"
DISCOVERY = "discovery"


@dataclass(frozen=True)
class Form:
    """The representation of an answer: `kind` is plain, table, partial or discovery; `version` that of meta.k8s.io."""

    kind: str = PLAIN
    version: str = "v1"
    yaml: bool = False

    @property
    def content_type(self) -> str:
        return YAML_TYPE if self.yaml else JSON_TYPE


_AS = {
    "Table": TABLE, "PartialObjectMetadata": PARTIAL, "PartialObjectMetadataList": PARTIAL,
    "APIGroupDiscoveryList": DISCOVERY,
}


def parse_accept(accept: str, allowed: tuple[str, ...] = (TABLE, PARTIAL)) -> Form:
    """The first form in the client's list that can be served. Raises StatusError 406 when there is none."""
    entries = [entry.strip() for entry in accept.split(",") if entry.strip()]
    if not entries:
        return Form()
    for entry in entries:
        form = _form(entry, allowed)
        if form:
            return form
    raise _not_acceptable("as=" in accept or "protobuf" in accept)


def _not_acceptable(transformed: bool) -> StatusError:
    listed = ", ".join(MEDIA_TYPES)
    if transformed:
        return StatusError(406, "NotAcceptable", f"only the following media types are accepted: {listed}")
    return StatusError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {listed}", {})


def _form(entry: str, allowed: tuple[str, ...]) -> Form | None:
    media, *rest = [part.strip() for part in entry.split(";")]
    parameters = dict(part.partition("=")[::2] for part in rest)
    if media not in (JSON_TYPE, YAML_TYPE, "application/*", "*/*"):
        return None
    is_yaml = media == YAML_TYPE
    if "as" not in parameters:
        return Form(yaml=is_yaml)
    kind = _AS.get(parameters["as"])
    version = parameters.get("v", "")
    if kind not in allowed or kind is None:
        return None
    if version not in (("v2",) if kind == DISCOVERY else ("v1", "v1beta1")):
        return None
    return Form(kind, version, is_yaml)


def decode_body(data: bytes, content_type: str, kind: str, *, empty_is_none: bool = False) -> Any:
    """The object in a request's body. Raises StatusError 415 for a foreign type and 400 for unreadable text."""
    media = content_type.partition(";")[0].strip()
    if not data and empty_is_none:
        return None
    if media == protobuf.MEDIA_TYPE:
        return _decode_protobuf(data, kind)
    if media not in (JSON_TYPE, YAML_TYPE, "", "application/octet-stream"):
        raise unsupported_media(MEDIA_TYPES)
    try:
        return load_yaml(data) if media == YAML_TYPE else json.loads(data)
    except (ValueError, yaml.YAMLError):
        shown = data.decode(errors="replace")[:1000] or "<empty>"
        prefix = f"the object provided is unrecognized (must be of type {kind}): " if kind else ""
        suffix = f" ({shown})" if kind else ""
        raise bad_request(
            f"{prefix}couldn't get version/kind; json parse error: unexpected end of JSON input{suffix}"
        ) from None


class _Loader(yaml.SafeLoader):
    """Reads what JSON can hold: a time stays the text that it is."""


_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(data: bytes) -> Any:
    """Raises yaml.YAMLError, ValueError."""
    return yaml.load(data, _Loader)


def _decode_protobuf(data: bytes, kind: str) -> Any:
    try:
        body = protobuf.decode(data)
    except ValueError as error:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): {error}") from None
    if body is None:
        raise unsupported_media(MEDIA_TYPES)
    return body


def encode_answer(body: Any, form: Form) -> bytes:
    if form.yaml:
        return yaml.safe_dump(body, sort_keys=True).encode()
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
