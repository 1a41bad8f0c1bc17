"""A rolling drain: every node of a site is drained once, a few at a time, as updates of the nodes do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock

from drainproof.wait import Deadline
from scenarios.drain import Drain


@dataclass(frozen=True)
class RollingDrain:
    """The nodes are begun in their order; a node is uncordoned before the next takes its place."""

    nodes: Iterable[str]
    drain_of: Callable[[str], Drain]
    """Makes the drain of a node when its turn has come: who is on it is known only then."""
    at_once: int = 1
    """How many nodes are drained at the same time; updates of OpenShift call it maxUnavailable."""
    seconds_per_node: float = 900.0

    def run(self, deadline: Deadline) -> None:
        """Drain them all; when one cannot be drained no other is begun, and what it raised is raised.

        Every drain that was begun is seen through, and uncordons its node.
        """
        left, taking, stop = iter(self.nodes), Lock(), Event()

        def work() -> None:
            while not stop.is_set():
                with taking:
                    node = next(left, None)
                if node is None:
                    return
                try:
                    self.drain_of(node).run(deadline.at_most(self.seconds_per_node))
                except BaseException:
                    stop.set()
                    raise

        with ThreadPoolExecutor(self.at_once, thread_name_prefix="drain") as pool:
            for done in [pool.submit(work) for _ in range(self.at_once)]:
                done.result()
