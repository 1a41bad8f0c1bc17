"""The cluster's NodeHealthChecks: found, and where one is only paused by the lab, let act for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drainproof.api import NODE_HEALTH_CHECKS, Cluster, Object
from drainproof.errors import CannotRunError, NotFoundError
from drainproof.journal import Journal
from drainproof.run_cluster import LAB_PAUSE
from drainproof.wait import Deadline, wait

STATUS_SECONDS = 30.0


def health_checks(cluster: Cluster) -> list[Object]:
    """The cluster's checks; none where the operator is not installed. Raises ApiError when that cannot be seen."""
    try:
        return cluster.items(NODE_HEALTH_CHECKS)
    except NotFoundError:
        return []


def unpaused(cluster: Cluster) -> list[str]:
    """The names of the checks that would act now."""
    return [check["metadata"]["name"] for check in health_checks(cluster) if not _requests(check)]


def refuse_unpaused(cluster: Cluster) -> None:
    """Raises CannotRunError when a check would fence a lost node.

    Ask it while the nodes are claimed: the lab's own check acts only for a case that has claimed them all.
    """
    if names := unpaused(cluster):
        raise CannotRunError(f"NodeHealthCheck {', '.join(names)} would fence the node that is to be lost; pause it.")


def check_to_act(cluster: Cluster) -> Object:
    """The check that `acting` lets act. Raises CannotRunError when there is none."""
    checks = health_checks(cluster)
    own = next((check for check in checks if _requests(check) == [LAB_PAUSE]), None)
    check = own or next((check for check in checks if not _requests(check)), None)
    if check is None:
        raise CannotRunError(
            "No NodeHealthCheck of this cluster acts: install the operator with a remediation, or unpause its check."
        )
    return check


@contextmanager
def acting(cluster: Cluster, journal: Journal) -> Iterator[Object]:
    """A check that acts for the length of a block; one that only the lab has paused is paused again after it.

    Enter it once every node is claimed: it fences whatever node is lost meanwhile, for whatever reason.
    Raises CannotRunError when there is none that acts. The journal knows of the pause: a run that is killed in the
    block leaves the lab's check to be paused again.
    """
    check = check_to_act(cluster)
    name, paused = check["metadata"]["name"], bool(_requests(check))
    if paused:
        journal.unpause(name, [LAB_PAUSE])
        _pause(cluster, name, [])
    deadline = Deadline(STATUS_SECONDS)
    try:
        yield wait(
            f"NodeHealthCheck {name} acts", lambda: cluster.within(deadline).get(NODE_HEALTH_CHECKS, name),
            until=lambda seen: seen.get("status", {}).get("phase") in ("Enabled", "Remediating"),
            deadline=deadline, describe=lambda seen: seen.get("status"),
        )
    finally:
        if paused:
            _pause(cluster, name, [LAB_PAUSE])
            journal.paused_again(name)


def _pause(cluster: Cluster, name: str, requests: list[str]) -> None:
    cluster.patch(NODE_HEALTH_CHECKS, name, {"spec": {"pauseRequests": requests}})


def _requests(check: Object) -> list[str]:
    return list(check["spec"].get("pauseRequests") or [])
