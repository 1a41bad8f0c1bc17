"""The copy of a journal that the cluster keeps, so that a run can be undone from another machine."""

from __future__ import annotations

import json
from dataclasses import dataclass

from drainproof.api import CONFIG_MAPS, Cluster
from drainproof.errors import ConflictError
from drainproof.journal.entries import Entry, parsed
from drainproof.ownership import Owner

PREFIX = "drainproof-run-"
"""Begins the name of a run's journal, and of its heartbeat."""


@dataclass(frozen=True)
class ClusterCopy:
    """A ConfigMap with a key for each entry: its writers never meet, and never wait for each other."""

    cluster: Cluster
    namespace: str
    run_id: str

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.run_id}"

    def begin(self, owner: Owner) -> None:
        """Create it; raises ApiError when the account may not."""
        try:
            self.cluster.create(CONFIG_MAPS, owner.owned({"metadata": {"name": self.name}}), self.namespace)
        except ConflictError:
            # A run's id is its own: a request that seemed lost has arrived after all.
            return

    def add(self, key: str, entry: Entry) -> None:
        """Keep one entry under a key of its own; raises ApiError when it is not kept."""
        self.cluster.patch(CONFIG_MAPS, self.name, {"data": {key: json.dumps(entry)}}, self.namespace)

    def entries(self) -> list[Entry]:
        """What is kept, in the order in which it was written; nothing when there is none."""
        found = self.cluster.find(CONFIG_MAPS, self.name, self.namespace)
        entries = (parsed(text) for text in ((found or {}).get("data") or {}).values())
        return sorted((entry for entry in entries if entry is not None), key=lambda entry: entry.get("t", 0))

    def remove(self) -> None:
        """Delete it: nothing is left to be undone."""
        self.cluster.delete(CONFIG_MAPS, self.name, self.namespace)
