"""Nodes claimed for the length of a block: waited for, renewed meanwhile, given back; it is broken off without them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from drainproof.errors import ApiError
from drainproof.interruption import Interruption, interruptible
from drainproof.leases import LOOK_SECONDS, RENEWALS, ClaimLostError, NodeClaims
from drainproof.wait import Deadline, pause, wait

log = logging.getLogger(__name__)

HAND_OVER_SECONDS = 2 * LOOK_SECONDS
"""So long does who gives nodes back leave them to those who wait: else a run of many cases would starve another."""


@contextmanager
def claimed(
    claims: NodeClaims, count: int, deadline: Deadline, tell: Callable[[str], None] = log.info,
    lost: Callable[[ClaimLostError], None] = log.warning,
) -> Iterator[tuple[str, ...]]:
    """So many nodes for the length of a block, by name; waits for them and tells whom it waits for.

    Afterwards others have the first choice for a moment.
    Raises WaitTimeoutError when they cannot be had in time. When one is lost, `lost` is told, and the block is broken
    off with ClaimLostError; what somebody else has claimed is neither disturbed nor healed from then on.
    """
    told: set[str] = set()

    def attempt() -> tuple[tuple[str, ...], str]:
        nodes, trouble = _try_to_take(claims, count)
        if trouble and trouble not in told:
            told.add(trouble)
            tell(trouble)
        return nodes, trouble

    nodes, _ = wait(
        f"{count} nodes that nobody else disturbs", attempt, until=lambda seen: bool(seen[0]), deadline=deadline,
        every=LOOK_SECONDS, describe=lambda seen: seen[1],
    )
    with interruptible() as interruption:
        try:
            with _Renewer(claims, nodes, interruption, lost).running():
                yield nodes
        finally:
            claims.release(nodes)
            pause(HAND_OVER_SECONDS, Deadline(HAND_OVER_SECONDS, deadline.clock))


@dataclass(frozen=True)
class _Renewer:
    claims: NodeClaims
    nodes: tuple[str, ...]
    interruption: Interruption
    tell: Callable[[ClaimLostError], None]
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, name="leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join()

    def _run(self) -> None:
        held = list(self.nodes)
        while not self.stop.wait(self.claims.seconds / RENEWALS):
            for node in list(held):
                try:
                    self.claims.renew(node)
                except ClaimLostError as error:
                    held.remove(node)  # the others are kept: they are still to be healed
                    self._lose(error)
                except ApiError as error:
                    log.info("the claim of node %s could not be renewed yet: %s", node, error)

    def _lose(self, error: ClaimLostError) -> None:
        if error.holder:
            self.claims.allowed.lost[error.node] = error.holder
        try:
            self.tell(error)
        finally:
            self.interruption.because(error)


def _try_to_take(claims: NodeClaims, count: int) -> tuple[tuple[str, ...], str]:
    """Nodes, or why there are none yet; who is waited for may just be disturbing the API."""
    try:
        nodes = claims.take(count)
        return nodes, "" if nodes else _waits_for(claims, count)
    except ApiError as error:
        return (), f"waiting for {count} free nodes: the API does not answer ({error.code} {error.reason})"


def _waits_for(claims: NodeClaims, count: int) -> str:
    held = [f"{node} by {holder}" for node, holder in sorted(claims.others().items())]
    if not held:
        held = [f"{node} by machines of others" for node in sorted(claims.busy()) if node in claims.allowed.nodes]
    return f"waiting for {count} free nodes: {', '.join(held) or 'too few that may be disturbed are schedulable'}"
