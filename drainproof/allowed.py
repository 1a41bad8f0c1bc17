"""Which nodes a run may disturb: those that somebody has named, or labelled, for it. Nothing else is ever touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drainproof.api import NODES, Cluster
from drainproof.errors import CannotRunError, DrainproofError
from drainproof.resources import Object

DISRUPTABLE = "drainproof.io/disruptable"
"""Node label: `true` says that runs may drain the node, cut its power and cordon it."""
OPTION = "--nodes"
SHOWN = 10


class NotAllowedError(DrainproofError):
    """Something was about to be changed that the run may not change; it was not changed."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The nodes that a run may disturb, settled once at its beginning."""

    nodes: tuple[str, ...]
    """By name, sorted."""
    by_label: bool = False
    """Whether the label has allowed them, not `--nodes`."""
    lost: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Nodes that somebody else has claimed from this run, each with the holder: they are its own to heal."""

    def permits(self, node: Object) -> bool:
        """Whether a node may be disturbed as it is now: who takes the label off takes the leave back."""
        name = node["metadata"]["name"]
        return name in self.nodes and name not in self.lost and (not self.by_label or is_disruptable(node))

    def check(self, name: str) -> None:
        """Raises NotAllowedError for a node that the run may not disturb, or not any more."""
        if holder := self.lost.get(name):
            raise NotAllowedError(f"node {name} is claimed by {holder} now and left to it")
        if name not in self.nodes:
            raise NotAllowedError(
                f"node {name} may not be disturbed: allowed are {', '.join(self.nodes[:SHOWN]) or 'none'}"
                f"{' and others' if len(self.nodes) > SHOWN else ''}; name it with {OPTION}, or label it "
                f"{DISRUPTABLE}=true"
            )

    def facts(self) -> dict[str, Any]:
        """What the description of a run keeps of it."""
        return {"nodes": list(self.nodes), "by": f"label {DISRUPTABLE}=true" if self.by_label else OPTION}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Allowed:
        return cls(tuple(facts["nodes"]), by_label=facts["by"] != OPTION)


def is_disruptable(node: Object) -> bool:
    """Whether a node bears the label that lets runs disturb it."""
    return (node["metadata"].get("labels") or {}).get(DISRUPTABLE) == "true"


def names_of(option: str) -> tuple[str, ...]:
    """The nodes that `--nodes a,b,c` names."""
    return tuple(dict.fromkeys(name.strip() for name in option.split(",") if name.strip()))


def allowed_nodes(cluster: Cluster, named: Sequence[str] = ()) -> Allowed:
    """The nodes that were named or else those that are labelled.

    Raises CannotRunError when there are neither, or a named one does not exist; nothing has been changed then.
    """
    found = {node["metadata"]["name"]: node for node in cluster.items(NODES)}
    if unknown := [name for name in named if name not in found]:
        raise CannotRunError(
            f"There is no node {', '.join(unknown[:SHOWN])}; {OPTION} takes names of "
            f"{', '.join(sorted(found)[:SHOWN])}{' and others' if len(found) > SHOWN else ''}."
        )
    if named:
        return Allowed(tuple(sorted(named)))
    labelled = tuple(sorted(name for name, node in found.items() if is_disruptable(node)))
    if not labelled:
        raise CannotRunError(
            f"No node may be disturbed: name those that may with {OPTION} a,b,c, or label them: "
            f"kubectl label node NAME {DISRUPTABLE}=true"
        )
    return Allowed(labelled, by_label=True)
