"""Whether a rolling drain went as it should, by its record: else its figures would be those of something else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drainproof.record import Event

MOVED = "Succeeded"


@dataclass
class Life:
    """What the record tells of one machine's instance."""

    uid: str = ""
    nodes: list[str] = field(default_factory=list)
    """Where it was, one after another."""
    migrations: Counter[str] = field(default_factory=Counter)
    """Ended migrations, by their last phase."""
    trouble: list[str] = field(default_factory=list)


@dataclass
class Told:
    """What the record tells of a rolling drain."""

    lives: dict[str, Life] = field(default_factory=dict)
    drained: list[str] = field(default_factory=list)
    """The nodes whose drain proved that it happened and healed."""
    unproved: list[str] = field(default_factory=list)
    due: Counter[str] = field(default_factory=Counter)
    """How often each machine was on a node when its drain began, or came to it meanwhile."""
    lost: list[str] = field(default_factory=list)
    """Watches that missed something."""


def lines(path: Path) -> Iterator[Event]:
    """The events of a record one at a time: those of thousands of machines need not be in memory together."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            entry = json.loads(line)
            yield Event(entry["t_ns"], entry["source"], entry["kind"], entry["object"], entry["data"])


def read(events: Iterable[Event]) -> Told:
    """Follow every machine and every drain through the record, in the order in which it was written."""
    told = Told()
    open_drains: dict[str, set[str]] = {}
    ended: set[str] = set()
    for event in events:
        data = event.data
        if event.source == "drain":
            _drain(told, open_drains, event)
        elif event.kind == "vmi":
            _instance(told, open_drains, data)
        elif event.kind == "vmim" and data["phase"] in (MOVED, "Failed") and data["uid"] not in ended:
            ended.add(data["uid"])
            if data["event"] != "ADDED":
                # Otherwise it had ended before the record began.
                told.lives.setdefault(data["vmi"], Life()).migrations[data["phase"]] += 1
        elif event.source == "watch" and event.kind == "lost":
            told.lost.append(f"the watch of {event.object}s missed something: {data.get('reason')}")
    return told


def _drain(told: Told, open_drains: dict[str, set[str]], event: Event) -> None:
    node = event.object
    if event.kind == "begin":
        there = {name for name, life in told.lives.items() if life.nodes and life.nodes[-1] == node}
        open_drains[node] = there
        told.due.update(there)
    elif event.kind == "proof":
        open_drains.pop(node, None)
        if event.data["happened"] and event.data["healed"]:
            told.drained.append(node)
        else:
            told.unproved.append(f"the drain of {node} is not proved: {event.data['reasons']}")


def _instance(told: Told, open_drains: dict[str, set[str]], data: Mapping[str, Any]) -> None:
    name = data["name"]
    life = told.lives.setdefault(name, Life())
    if data["event"] == "DELETED":
        life.trouble.append("its instance was deleted")
    if life.uid and life.uid != data["uid"]:
        life.trouble.append("it was started anew: another uid")
    if data["phase"] != "Running":
        life.trouble.append(f"its phase was {data['phase']}")
    life.uid = data["uid"]
    if life.nodes and life.nodes[-1] == data["node"]:
        return
    life.nodes.append(data["node"])
    due = open_drains.get(data["node"])
    if due is not None and name not in due:
        # It was on its way when the drain began, and has to go on.
        due.add(name)
        told.due[name] += 1


def reasons(told: Told, machines: int, nodes: int) -> list[str]:
    """What speaks against the run; empty when every machine was moved once per drain of its node, live and whole."""
    found = [*told.unproved, *told.lost]
    if len(told.lives) != machines:
        found.append(f"{len(told.lives)} machines were seen, {machines} were there")
    if len(told.drained) != nodes:
        found.append(f"{len(told.drained)} drains are proved, {nodes} nodes were there")
    for name, life in sorted(told.lives.items()):
        found += [f"{name}: {text}" for text in life.trouble]
        moves, well, due = len(life.nodes) - 1, life.migrations[MOVED], told.due[name]
        if not moves == well == due:
            found.append(f"{name}: moved {moves} times by {well} migrations, {due} drains were under it")
        if life.migrations.total() != well:
            found.append(f"{name}: {life.migrations.total() - well} migrations failed")
    return found
