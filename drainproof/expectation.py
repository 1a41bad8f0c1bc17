"""What a fault is meant to do to the service: said before it is injected, compared with what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """By names of virtual machines; whatever is not named here is not expected and counts against the platform."""

    lost: tuple[str, ...] = ()
    """Whose own streams may be silent from the fault on until they have recovered; all others have to go on."""
    restarted: tuple[str, ...] = ()
    """Which have to be started anew: another instance, another boot."""
    stays_down: tuple[str, ...] = ()
    """Which must not be started anywhere while the fault lasts: nobody has fenced the node, so the guest may live."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Which have to be migrated, each with the phase in which its migration has to end: Succeeded or Failed."""
    expelled: tuple[str, ...] = ()
    """Which members have to leave the cluster's primary component and come back."""
    may_be_expelled: tuple[str, ...] = ()
    """Which may: the fault lasts about as long as Galera waits."""
    refuses_writes: tuple[str, ...] = ()
    """Which members have to refuse writes while the fault lasts: they are a minority."""
    outage: bool = False
    """The whole service is expected to be away until the fault has healed."""
    blind_api: bool = False
    """The Kubernetes API does not answer meanwhile, so watches of it may break."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Expectation:
        """Raises TypeError when the content has a key that this version does not know."""
        lists = {name: tuple(value) for name, value in content.items() if isinstance(value, list | tuple)}
        return cls(**{**content, **lists})
