"""What KubeVirt's mutating webhook refuses before it looks at a VM: wrong types and unknown options of its fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.api.errors import Object
from lab.machinery import quantity

_SELECTOR = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms.matchExpressions"
_OPTIONS = {
    "tolerations.operator": ("Equal", "Exists"),
    f"{_SELECTOR}.operator": ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn"),
    "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
}
"""Fields of a VMI's spec, with what each may be; what stands in lists is named without its place there."""
_COUNTS = ("cores", "sockets", "threads", "maxSockets")
_QUANTITIES = (
    "domain.memory.guest", "domain.memory.maxGuest", "domain.resources.requests.cpu", "domain.resources.limits.cpu",
    "domain.resources.requests.memory", "domain.resources.limits.memory",
)
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def machine_texts(spec: Object) -> list[str]:
    """What the schema says against a VM's spec; empty when nothing."""
    strategy = spec.get("runStrategy")
    if strategy is None or isinstance(strategy, str):
        return []
    return [f'spec.runStrategy in body must be of type string: "{_TYPES[type(strategy)]}"']


def instance_texts(spec: Object, field: str) -> list[str]:
    """What the schema says against a VMI's spec that stands at `field`; empty when nothing."""
    texts = [
        f'{field}.domain.cpu.{name} in body must be of type integer: "{_TYPES[type(value)]}"'
        for name, value in _counts(spec) if not isinstance(value, int) or isinstance(value, bool)
    ]
    for path, options in _OPTIONS.items():
        if any(value not in (None, "", *options) for value in _values(spec, path.split("."))):
            texts.append(f"{field}.{path} in body should be one of [{' '.join(options)}]")
    return texts


def undecodable(spec: Object, field: str, kind: str) -> str:
    """What the decoder says of a VMI's spec that the schema lets through; "" when it decodes.

    `kind` is the Go type in which the spec stands, such as VirtualMachineInstanceTemplateSpec.
    """
    for name, value in _counts(spec):
        if value < 0:
            return (f"json: cannot unmarshal number {value} into Go struct field {kind}.{field}.domain.cpu.{name} of "
                    "type uint32")
    for path in _QUANTITIES:
        if not all(map(quantity.readable, _values(spec, path.split(".")))):
            return quantity.UNREADABLE
    return ""


def _counts(spec: Object) -> Iterator[tuple[str, Any]]:
    for name in _COUNTS:
        yield from ((name, value) for value in _values(spec, ["domain", "cpu", name]))


def _values(value: Any, path: list[str]) -> Iterator[Any]:
    """Every value at a path, through lists."""
    if isinstance(value, list):
        for inner in value:
            yield from _values(inner, path)
    elif path and isinstance(value, dict):
        yield from _values(value.get(path[0]), path[1:])
    elif not path and value is not None:
        yield value
