"""What a case ran on, as its record tells: machines, nodes, storage, effective migration limits, database settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from drainproof.errors import DrainproofError
from drainproof.record import RunInfo
from reports import request_count
from reports.evidence import STORAGE, Evidence

LONG_LIST = 8
PROVIDER = "wsrep_provider_options"
PROVIDER_SHOWN = ("evs.", "gcs.fc", "gcache.size", "gmcast.peer_timeout", "pc.")
"""Of the provider's hundred options: membership, flow control, the cache for incremental transfers, quorum."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """Some facts under a heading; without any, why."""

    title: str
    pairs: Pairs
    missing: str = ""


def of_run(run: RunInfo) -> tuple[Section, ...]:
    """What is the same for every case of a run."""
    sections = [
        Section("Versions", flat(run.versions)), Section("Cluster", flat(run.target)),
        Section("Settings and limits", flat(run.settings)),
    ]
    if run.environment:
        sections.insert(0, Section("Host, nodes, storage and migration limits", flat(run.environment)))
    return tuple(sections)


def of_case(evidence: Evidence) -> tuple[Section, ...]:
    """What the case's own events tell."""
    return (
        _section("Machines and storage", lambda: _portal(evidence)),
        _section("Nodes", lambda: _nodes(evidence)),
        _section("Effective migration limits", lambda: _limits(evidence)),
        _section("Database settings", lambda: _database(evidence)),
        _section("Requests to the Kubernetes API", lambda: request_count.told(evidence)),
    )


def flat(content: Mapping[str, Any], prefix: str = "") -> Pairs:
    """Nested facts as name and value, one per line, in their own order; long lists by their ends."""
    found: list[tuple[str, str]] = []
    for key, value in content.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            found += flat(value, f"{name}, ")
        elif isinstance(value, list | tuple) and value and all(isinstance(one, Mapping) for one in value):
            for number, one in enumerate(value, 1):
                found += flat(one, f"{name} {number}, ")
        elif value not in (None, "", [], ()):
            found.append((name, _value(value)))
    return tuple(found)


def _value(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(one, str) for one in value):
        if len(value) > LONG_LIST:
            return f"{value[0]} … {value[-1]} ({len(value)})"
        return ", ".join(value)
    return json.dumps(value, default=str)


def _section(title: str, facts: Callable[[], Iterator[tuple[str, str]]]) -> Section:
    try:
        pairs = tuple(facts())
    except (DrainproofError, KeyError, TypeError, ValueError, AttributeError) as error:
        return Section(title, (), f"cannot be told: {error}")
    return Section(title, pairs, "" if pairs else "the record does not tell")


def _portal(evidence: Evidence) -> Iterator[tuple[str, str]]:
    deployed = evidence.of_kind("storage" if evidence.kind == STORAGE else "portal", "deployed")
    if deployed:
        data = deployed[-1].data
        yield "storage class", str(data.get("storage_class") or "not told")
        yield "namespace", str(data["namespace"])
        yield "virtual IP", str(data.get("virtual_ip") or "none")
        for key, title in (("entry", "way in"), ("network", "network"), ("continuity", "what it can prove")):
            if data.get(key):
                yield title, str(data[key])
        for vm in evidence.vms:
            yield vm.name, f"{vm.address}, at first on {vm.node}"


def _nodes(evidence: Evidence) -> Iterator[tuple[str, str]]:
    for event in evidence.of_kind("cluster", "snapshot"):
        if event.data.get("when") == "before":
            for name, node in sorted(event.data["nodes"].items()):
                taints = ", ".join(str(taint.get("key", taint)) for taint in node.get("taints") or ())
                state = "unschedulable" if node.get("unschedulable") else "schedulable"
                yield str(name), f"{state}, tainted {taints}" if taints else state


def _limits(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What the migrations themselves carried, which policies may have changed; each differing value once."""
    seen: dict[str, list[str]] = {}
    for event in evidence.of_kind("watch", "vmim"):
        state = event.data.get("migration") or {}
        for key, value in flat(state.get("migrationConfiguration") or {}):
            if value not in seen.setdefault(key, []):
                seen[key].append(value)
    for key, values in seen.items():
        yield key, "; ".join(values)


def _database(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """The members' settings as the audit read them; where members differ, each value with its members."""
    told: dict[str, dict[str, list[str]]] = {}
    for event in evidence.of_kind("audit", "member"):
        for key, value in _settings(event.data.get("settings") or {}):
            told.setdefault(key, {}).setdefault(value, []).append(event.object)
    for key, values in told.items():
        if len(values) == 1:
            yield key, next(iter(values))
        else:
            yield key, "; ".join(f"{value} ({', '.join(names)})" for value, names in values.items())


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if key != PROVIDER:
            if value not in (None, ""):
                yield str(key), _value(value)
            continue
        for option in str(value).split(";"):
            name, _, shown = option.strip().partition(" = ")
            if name.startswith(PROVIDER_SHOWN):
                yield name, shown
