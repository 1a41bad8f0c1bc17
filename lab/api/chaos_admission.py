"""Chaos Mesh's schema and webhooks for NetworkChaos and HTTPChaos, and the refusal of what the lab cannot do."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Any

from lab.api.errors import Cause, Object, denied, invalid, invalid_value, required, unsupported
from lab.chaos import durations
from lab.kinds import HTTP_CHAOS, NETWORK_CHAOS, Kind

ACTIONS = ("netem", "delay", "loss", "duplicate", "corrupt", "partition", "bandwidth")
DIRECTIONS = ("to", "from", "both")
MODES = ("one", "all", "fixed", "fixed-percent", "random-max-percent")
HTTP_TARGETS = ("Request", "Response")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT")
LAB_ACTIONS = ("partition", "delay", "loss")
LAB_REPLACES = ("code", "headers", "body")
_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h)")


def on_create(kind: Kind, body: Object) -> Object:
    """The body with Chaos Mesh's defaults. Raises StatusError as the schema, its webhook or the lab refuses it."""
    if kind not in (NETWORK_CHAOS, HTTP_CHAOS):
        return body
    _check_schema(kind, body)
    _default(kind, body)
    _check_meaning(kind, body)
    return body


def on_update(kind: Kind, old: Object, new: Object) -> None:
    """Raises StatusError: the spec of an experiment never changes."""
    if kind in (NETWORK_CHAOS, HTTP_CHAOS) and old.get("spec") != new.get("spec"):
        raise denied(_webhook(kind), 403, "Cannot update chaos spec")


def _webhook(kind: Kind) -> str:
    return f"v{kind.plural}.kb.io"


def _default(kind: Kind, body: Object) -> None:
    spec, home = body["spec"], body["metadata"].get("namespace", "")
    for chooser in _choosers(spec):
        chooser["selector"].setdefault("namespaces", [home])
    if kind == NETWORK_CHAOS:
        spec.setdefault("direction", "to")
        for action, field, value in (("delay", "jitter", "0ms"), ("delay", "correlation", "0"),
                                     ("loss", "correlation", "0")):
            if isinstance(spec.get(action), dict):
                spec[action].setdefault(field, value)


def _choosers(spec: Object) -> list[Object]:
    return [spec] + ([spec["target"]] if isinstance(spec.get("target"), dict) else [])


def _check_schema(kind: Kind, body: Object) -> None:
    spec = body.get("spec")
    if not isinstance(spec, dict):
        raise invalid(kind, str(body["metadata"].get("name", "")), [required("spec")])
    causes = _chooser_causes("spec", spec)
    if kind == NETWORK_CHAOS:
        causes += _choice("spec.action", spec, "action", ACTIONS)
        causes += _choice("spec.direction", spec, "direction", DIRECTIONS) if "direction" in spec else []
        if isinstance(spec.get("target"), dict):
            causes += _chooser_causes("spec.target", spec["target"])
        causes += _delay_causes(spec)
    else:
        causes += _choice("spec.target", spec, "target", HTTP_TARGETS)
    if causes:
        raise invalid(kind, str(body["metadata"].get("name", "")), causes)


def _chooser_causes(field: str, chooser: Object) -> list[Cause]:
    missing = [] if isinstance(chooser.get("selector"), dict) else [required(f"{field}.selector")]
    return [*missing, *_choice(f"{field}.mode", chooser, "mode", MODES)]


def _choice(field: str, where: Object, key: str, choices: tuple[str, ...]) -> list[Cause]:
    if key not in where:
        return [required(field)]
    return [] if where[key] in choices else [unsupported(field, f'"{where[key]}"', choices)]


def _delay_causes(spec: Object) -> list[Cause]:
    delay = spec.get("delay")
    if not isinstance(delay, dict):
        return []
    causes = [] if "latency" in delay else [required("spec.delay.latency")]
    for key in ("latency", "jitter"):
        if key in delay and not _DURATION.fullmatch(str(delay[key])):
            text = f"spec.delay.{key} in body should match '^{_DURATION.pattern}$'"
            causes.append(invalid_value(f"spec.delay.{key}", f'"{delay[key]}"', text))
    return causes


def _check_meaning(kind: Kind, body: Object) -> None:
    spec = body["spec"]
    texts = _duration_texts("spec.duration", spec.get("duration"))
    texts += _value_texts("spec", spec)
    texts += _network_texts(spec) if kind == NETWORK_CHAOS else _http_texts(spec)
    if not texts:
        missing = _network_limits(spec) if kind == NETWORK_CHAOS else _http_limits(spec)
        texts = [f"the lab cannot do this: {text}" for text in missing]
    if texts:
        raise denied(_webhook(kind), 403, texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")


def _bad(field: str, value: Any, text: str) -> str:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return f"{field}: Invalid value: {shown}: {text}"


def _duration_texts(field: str, value: Any) -> list[str]:
    if not value:
        return []
    try:
        durations.seconds(str(value))
    except ValueError as error:
        return [_bad(field, value, f"parse duration field error: {error}")]
    return []


def _value_texts(field: str, chooser: Object) -> list[str]:
    """Chaos Mesh: how many pods a mode means."""
    mode, value = chooser["mode"], str(chooser.get("value", ""))
    if mode in ("one", "all"):
        return []
    if not re.fullmatch(r"[-+]?[0-9]+", value):
        text = f'parse value field error:strconv.Atoi: parsing "{value}": invalid syntax'
        return [_bad(f"{field}.value", value, text)]
    if mode == "fixed":
        text = "value must be greater than 0 with mode:fixed"
        return [] if int(value) > 0 else [_bad(f"{field}.value", value, text)]
    if 0 < int(value) <= 100:
        return []
    return [_bad(f"{field}.value", value, f"value of {value} is invalid, Must be (0,100] with mode:{mode}")]


def _network_texts(spec: Object) -> list[str]:
    texts = _value_texts("spec.target", spec["target"]) if spec.get("target") else []
    for action, field in (("loss", "loss"), ("loss", "correlation"), ("delay", "correlation")):
        value = (spec.get(action) or {}).get(field)
        if value is not None and not _is_number(value):
            text = f'parse correlation field error:strconv.ParseFloat: parsing "{value}": invalid syntax'
            texts.append(_bad(f"spec.{action}.{field}", value, text))
    if spec["action"] != "partition" and spec["direction"] in ("from", "both"):
        if spec.get("externalTargets"):
            text = "external targets cannot be used with `from` and `both` direction in netem action yet"
            texts.append(_bad("spec.direction", spec["direction"], text))
        if not spec.get("target"):
            text = "`from` and `both` direction cannot be used when targets is empty in netem action"
            texts.append(_bad("spec.direction", spec["direction"], text))
    return texts


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)


def _network_limits(spec: Object) -> list[str]:
    action = spec["action"]
    if action not in LAB_ACTIONS:
        return [f"action {action}; it has {', '.join(LAB_ACTIONS)}"]
    limits = []
    if action != "partition":
        if not isinstance(spec.get(action), dict):
            limits.append(f"action {action} without spec.{action}")
        if spec.get("externalTargets"):
            limits.append(f"externalTargets with action {action}")
    if action == "loss" and not 0 <= float((spec.get("loss") or {}).get("loss", -1)) <= 100:
        limits.append("a loss that is no percentage")
    if action == "delay":
        limits += [] if spec.get("target") else ["a delay without a target"]
        limits += ["reordering"] if (spec.get("delay") or {}).get("reorder") else []
    return limits + [f"external target {entry}, which is no IPv4 address" for entry in spec.get("externalTargets") or []
                     if not _is_address(entry)]


def _is_address(text: Any) -> bool:
    try:
        ipaddress.IPv4Network(str(text), strict=False)
    except ValueError:
        return False
    return True


def _http_texts(spec: Object) -> list[str]:
    texts = []
    if "port" in spec and int(spec["port"]) <= 0:
        texts.append(_bad("spec.port", spec["port"], f"port {spec['port']} is not supported"))
    delay = spec.get("delay")
    if delay is not None and _duration_texts("", delay):
        texts.append(_bad("spec.delay", delay, f"invalid duration {delay}"))
    method = spec.get("method")
    if method is not None and spec["target"] == "Request" and method not in METHODS:
        texts.append(_bad("spec.method", method, f"method {method} is not supported"))
    return texts


def _http_limits(spec: Object) -> list[str]:
    limits = [f"spec.{field} of an HTTPChaos" for field in ("patch", "code", "response_headers") if spec.get(field)]
    replace = spec.get("replace") or {}
    limits += [f"spec.replace.{field} of an HTTPChaos" for field in replace if field not in LAB_REPLACES]
    if replace and (spec["target"] != "Response" or "code" not in replace):
        limits.append("a replacement that is not of a Response's code")
    try:
        base64.b64decode(str(replace.get("body") or ""), validate=True)
    except binascii.Error:
        limits.append("spec.replace.body that is not base64")
    if not (spec.get("abort") or spec.get("delay") or replace):
        limits.append("an HTTPChaos without abort, delay or replace.code")
    return limits
