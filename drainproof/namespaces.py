"""A run's namespaces: made only if nobody else has them, deleted only if the run has made them."""

from __future__ import annotations

from drainproof.api import NAMESPACES, Cluster
from drainproof.errors import CannotRunError, ConflictError
from drainproof.journal import Journal
from drainproof.ownership import run_of
from drainproof.wait import Deadline, wait

GONE_SECONDS = 1.0
"""How often to see whether a namespace is gone: its machines take several seconds to stop."""


def create_namespace(cluster: Cluster, name: str, journal: Journal) -> None:
    """Create a namespace, after the journal knows of it.

    Raises CannotRunError when there is one of that name that the run has not made; it is left alone.
    """
    journal.namespace(name)
    try:
        cluster.create(NAMESPACES, {"metadata": {"name": name}})
    except ConflictError as error:
        found = cluster.find(NAMESPACES, name)
        if found is not None and journal.run_id and run_of(found) == journal.run_id:
            return  # a request that seemed lost has arrived after all
        journal.deleted(name)
        raise CannotRunError(
            f"Namespace {name} exists already, and this run has not made it; it is left alone. Delete it, or start "
            "another run."
        ) from error


def delete_namespace(cluster: Cluster, name: str, deadline: Deadline) -> None:
    """Delete a namespace and wait until it is gone with all that was in it."""
    cluster = cluster.within(deadline)
    cluster.delete(NAMESPACES, name)
    wait(
        f"namespace {name} is gone",
        lambda: cluster.find(NAMESPACES, name),
        until=lambda namespace: namespace is None,
        deadline=deadline, every=GONE_SECONDS,
        describe=lambda namespace: namespace and namespace.get("status", {}).get("conditions", "terminating"),
    )
