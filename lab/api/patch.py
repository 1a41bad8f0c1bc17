"""Applying a patch in its three types: JSON (RFC 6902), merge (RFC 7386) and strategic merge."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch
from jsonpointer import JsonPointerException

from lab.api.errors import Object, StatusError, bad_request, unsupported_media
from lab.api.server_side_apply import APPLY_PATCH
from lab.api.strategic import strategic_merge
from lab.kinds import Kind

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"


def check_type(kind: Kind, content_type: str) -> None:
    """Raises StatusError 415 for a type that the kind cannot be patched with."""
    if kind.custom and content_type == STRATEGIC_PATCH:
        raise unsupported_media((JSON_PATCH, MERGE_PATCH, APPLY_PATCH))
    if content_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def decode(content_type: str, data: bytes) -> Any:
    try:
        patch = json.loads(data)
    except ValueError:
        raise bad_request("error decoding patch: unexpected end of JSON input") from None
    if content_type == JSON_PATCH and not isinstance(patch, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    if content_type != JSON_PATCH and not isinstance(patch, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )
    return patch


def apply(kind: Kind, content_type: str, patch: Any, body: Object) -> Object:
    """The patched copy of `body`, which itself stays as it is."""
    if content_type == JSON_PATCH:
        return _json_patch(patch, body)
    if content_type == MERGE_PATCH:
        merged: Object = merge(body, patch)
        return merged
    return strategic_merge(kind, body, patch)


def _json_patch(patch: list[Any], body: Object) -> Object:
    try:
        patched = jsonpatch.apply_patch(copy.deepcopy(body), patch)
    except (jsonpatch.JsonPatchException, JsonPointerException, KeyError, TypeError, AttributeError):
        # The library reports some malformed operations by builtin errors.
        raise _rejected() from None
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise _rejected()
    return patched


def _rejected() -> StatusError:
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result
