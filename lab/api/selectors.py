"""Label and field selectors: parsed once per request, then asked for each object."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from lab.api.errors import Object, bad_request
from lab.kinds import Kind

Labels = dict[str, str]
Requirement = Callable[[Labels], bool]

_TOKEN = re.compile(r"\s*(==|!=|=|!|<|>|\(|\)|,|[^\s=!<>(),]+)")
_OPERATORS = ("=", "==", "!=", "in", "notin", "<", ">")
_SYMBOLS = ("=", "==", "!=", "!", "<", ">", "(", ")", ",")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


@dataclass(frozen=True)
class Selector:
    """What a list or watch asks for; `anything` says that each object matches."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[tuple[str, bool, str], ...] = ()

    @property
    def anything(self) -> bool:
        return not self.labels and not self.fields

    def matches(self, body: Object) -> bool:
        if self.labels:
            labels = body["metadata"].get("labels") or {}
            if not all(requirement(labels) for requirement in self.labels):
                return False
        return all((field_value(body, path) == value) is equal for path, equal, value in self.fields)


def parse(kind: Kind, label_selector: str, field_selector: str) -> Selector:
    """Raises StatusError 400 for text that is no selector and for fields the kind cannot be selected by."""
    return Selector(parse_labels(label_selector), parse_fields(kind, field_selector))


def field_value(body: Object, path: str) -> str:
    """The field as a selector compares it: text, with "" for what is absent and true/false for booleans."""
    value: object = body
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "false" if path in _BOOLEANS else ""
    return str(value)


_BOOLEANS = ("spec.unschedulable",)
_EVENT_FIELDS = (
    "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
    "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
    "reportingComponent", "source", "type",
)
SELECTABLE: dict[str, tuple[str, ...]] = {
    "Pod": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    "Node": ("spec.unschedulable",),
    "Namespace": ("status.phase",),
    "Secret": ("type",),
    "Service": ("spec.clusterIP", "spec.type"),
    "Event": _EVENT_FIELDS,
}


def parse_fields(kind: Kind, text: str) -> tuple[tuple[str, bool, str], ...]:
    found = []
    for term in filter(None, text.split(",")):
        match = re.fullmatch(r"([^=!]*)(!=|==|=)(.*)", term)
        if not match:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        path, operator, value = match[1].strip(), match[2], match[3].strip()
        _check_field(kind, path)
        found.append((path, operator != "!=", value))
    return tuple(found)


def _check_field(kind: Kind, path: str) -> None:
    if path in ("metadata.name", "metadata.namespace"):
        return
    extra = SELECTABLE.get(kind.name, ())
    if path in extra:
        return
    if extra or kind.custom:
        raise bad_request(f"field label not supported: {path}")
    raise bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def parse_labels(text: str) -> tuple[Requirement, ...]:
    tokens = _TOKEN.findall(text)
    if not tokens:
        return ()
    requirements = []
    position = 0
    while True:
        requirement, position = _requirement(tokens, position)
        requirements.append(requirement)
        if position >= len(tokens):
            return tuple(requirements)
        if tokens[position] != ",":
            raise bad_request(f"found '{tokens[position]}', expected: ',' or 'end of string'")
        position += 1
        if position >= len(tokens):
            raise bad_request("found '', expected: identifier after ','")


def _requirement(tokens: list[str], position: int) -> tuple[Requirement, int]:
    absent = tokens[position] == "!"
    position += absent
    key = tokens[position] if position < len(tokens) else ""
    if not key or key in _SYMBOLS:
        raise bad_request(f"found '{key}', expected: !, identifier, or 'end of string'")
    _check_key(key)
    position += 1
    following = tokens[position] if position < len(tokens) else ","
    if absent:
        return (lambda labels: key not in labels), position
    if following == ",":
        return (lambda labels: key in labels), position
    if following not in _OPERATORS:
        expected = "in, notin, =, ==, !=, gt, lt"
        raise bad_request(f"unable to parse requirement: found '{following}', expected: {expected}")
    if following in ("in", "notin"):
        return _set_requirement(key, following == "in", tokens, position + 1)
    return _comparison(key, following, tokens, position + 1)


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise bad_request(
            f'unable to parse requirement: <nil>: Invalid value: "{key}": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
            "'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )


def _set_requirement(key: str, inside: bool, tokens: list[str], position: int) -> tuple[Requirement, int]:
    if position >= len(tokens) or tokens[position] != "(":
        found = tokens[position] if position < len(tokens) else ""
        raise bad_request(f"unable to parse requirement: found '{found}', expected: '('")
    try:
        end = tokens.index(")", position)
    except ValueError:
        raise bad_request("unable to parse requirement: found '', expected: ',', or ')'") from None
    inner = tokens[position + 1:end]
    values = {value for value in inner if value != ","} or {""}
    if inside:
        return (lambda labels: labels.get(key) in values), end + 1
    return (lambda labels: labels.get(key) not in values), end + 1


def _comparison(key: str, operator: str, tokens: list[str], position: int) -> tuple[Requirement, int]:
    value = ""
    if position < len(tokens) and tokens[position] not in _SYMBOLS:
        value = tokens[position]
        position += 1
    if operator == "!=":
        return (lambda labels: labels.get(key) != value), position
    if operator in ("=", "=="):
        return (lambda labels: labels.get(key) == value), position
    if not value.lstrip("-").isdigit():
        raise bad_request(f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": for \'Gt\', '
                          "'Lt' operators, the value must be an integer")
    limit = int(value)
    return (lambda labels: _ordered(labels.get(key), operator, limit)), position


def _ordered(value: str | None, operator: str, limit: int) -> bool:
    if value is None or not value.lstrip("-").isdigit():
        return False
    return int(value) > limit if operator == ">" else int(value) < limit
