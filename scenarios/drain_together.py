"""Several nodes drained at the same time, as by administrators who do not know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from drainproof.api import NODES
from drainproof.errors import DrainproofError
from drainproof.expectation import Expectation
from drainproof.node import is_schedulable
from drainproof.wait import Deadline
from scenarios.drain import Drain
from scenarios.fault import Proof
from scenarios.request_count import tell_requests


@dataclass(frozen=True)
class DrainTogether:
    """Drains that begin at once; each ends when its machines are Ready elsewhere and its node is schedulable again."""

    drains: Sequence[Drain]
    kind = "drain"

    @property
    def target(self) -> str:
        return ",".join(drain.node for drain in self.drains)

    @property
    def expectation(self) -> Expectation:
        """Whoever runs on one of the nodes now has to be migrated."""
        nodes = {drain.node for drain in self.drains}
        found = {machine.name: machine.instance for drain in self.drains[:1] for machine in drain.machines}
        return Expectation(moved={name: "Succeeded" for name, seen in found.items() if seen and seen.node in nodes})

    def inject(self, deadline: Deadline) -> Proof:
        """See all of them through; raises what the first of them raises."""
        cluster, moving = self.drains[0].cluster, len(self.expectation.moved)
        asked_before = cluster.requests
        with ThreadPoolExecutor(len(self.drains)) as pool:
            for done in [pool.submit(replace(drain, counted=False).run, deadline) for drain in self.drains]:
                done.result()
        tell_requests(self.drains[0].events, self.target, cluster.requests - asked_before, moving)
        return {"drained": [drain.node for drain in self.drains]}

    def heal(self, deadline: Deadline) -> Proof:
        """Every drain has uncordoned its own node; see that it is so. Raises DrainproofError when it is not."""
        left = [drain.node for drain in self.drains if not is_schedulable(drain.cluster.get(NODES, drain.node))]
        if left:
            raise DrainproofError(f"nodes {', '.join(left)} are not schedulable after {deadline.seconds:.0f} s")
        return {"schedulable": [drain.node for drain in self.drains]}
