"""Schemas of a real cluster, recorded: what is sent has only fields that exist there, of the types that they have."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from tests.recordings import recordings

CORE, CUSTOM = "core-openapi-v3.json.gz", "kubevirt-v1.9.0-crds.yaml.gz"
_LOOSE = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
Schema = dict[str, Any]


@cache
def _schemas(directory: Path) -> dict[tuple[str, str], Schema]:
    """The schema of each kind by (apiVersion, kind), without references, strict about fields that it does not have."""
    return {kind: _strict(schema) for kind, schema in (*_core(directory), *_custom(directory))}


def known(api_version: str, kind: str) -> bool:
    """Whether the recordings tell how objects of a kind look."""
    return (api_version, kind) in _schemas(recordings())


def faults(body: Schema, *, whole: bool = True) -> list[str]:
    """What is wrong with an object that is sent, a line each; of a patch (not `whole`) nothing is missing."""
    schema = _schemas(recordings())[body["apiVersion"], body["kind"]]
    found = Draft202012Validator(schema if whole else _without_required(schema)).iter_errors(body)
    return [f"{'/'.join(map(str, error.absolute_path)) or 'object'}: {error.message[:200]}" for error in found]


def _core(directory: Path) -> Iterator[tuple[tuple[str, str], Schema]]:
    document = json.loads(gzip.decompress((directory / "schemas" / CORE).read_bytes()))["components"]["schemas"]
    for schema in document.values():
        for kind in schema.get("x-kubernetes-group-version-kind") or []:
            version = "/".join(part for part in (kind["group"], kind["version"]) if part)
            yield (version, kind["kind"]), _resolved(schema, document)


def _resolved(schema: Any, document: dict[str, Schema], within: tuple[str, ...] = ()) -> Any:
    """A schema with what it refers to in place; one that refers to itself may hold anything there."""
    if isinstance(schema, list):
        return [_resolved(one, document, within) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return {} if name in within else _resolved(document[name], document, (*within, name))
    content = {key: _resolved(value, document, within) for key, value in schema.items()}
    # `allOf` of one reference beside a default or a description is how OpenAPI writes a reference with company.
    parts = content.pop("allOf", [])
    return {**parts[0], **content} if len(parts) == 1 else content


def _custom(directory: Path) -> Iterator[tuple[tuple[str, str], Schema]]:
    text = gzip.decompress((directory / "schemas" / CUSTOM).read_bytes()).decode()
    for document in yaml.load_all(text, Loader=yaml.CSafeLoader):
        spec = document["spec"]
        for version in spec["versions"]:
            yield (f"{spec['group']}/{version['name']}", spec["names"]["kind"]), version["schema"]["openAPIV3Schema"]


def _strict(schema: Any) -> Any:
    """A structural schema that refuses unknown fields, as the API server does with fieldValidation=Strict."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    content = {key: _properties(value) if key == "properties" else _strict(value) for key, value in schema.items()}
    if content.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    loose = any(content.get(mark) for mark in _LOOSE)
    if "properties" in content and "additionalProperties" not in content and not loose:
        content["additionalProperties"] = False
    if content.pop("nullable", False) and "type" in content:
        content["type"] = [content["type"], "null"]
    return content


def _properties(properties: dict[str, Any]) -> dict[str, Any]:
    """Fields may themselves be called `properties` or `type`: only what is behind a name is a schema."""
    return {name: _strict(schema) for name, schema in properties.items()}


def _without_required(schema: Schema) -> Schema:
    found = copy.deepcopy(schema)
    _drop_required(found)
    return found


def _drop_required(schema: Any) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            del schema["required"]
        for value in schema.values():
            _drop_required(value)
    elif isinstance(schema, list):
        for value in schema:
            _drop_required(value)
