"""One migration as a controller sees it at one moment: the object, its VMI, and the pods at both ends."""

from __future__ import annotations

from dataclasses import dataclass

from lab.client import Object
from lab.kinds import MIGRATION
from lab.machinery.cluster import Cluster
from lab.machinery.objects import dig, uid


@dataclass(slots=True)
class Attempt:
    """One migration as seen now: the object as wished, its VMI and the pods at both ends."""

    cluster: Cluster
    wished: Object
    vmi: Object
    source: Object | None
    target: Object | None
    pods: list[Object]

    @property
    def state(self) -> Object:
        """The VMI's migrationState if it is this migration's; {} before the hand-over."""
        state: Object = dig(self.vmi, "status", "migrationState", default={})
        return state if state.get("migrationUid") == uid(self.wished) else {}

    def tell(self, type_: str, reason: str, message: str) -> None:
        self.cluster.event(MIGRATION, self.wished, type_, reason, message)
