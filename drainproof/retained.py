"""What a snapshot class with deletionPolicy Retain keeps of a run's snapshots, although their namespace is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drainproof.api import VOLUME_SNAPSHOT_CONTENTS, Cluster, Object, Objects
from drainproof.errors import ApiError, NotFoundError

FORBIDDEN = 403


@contextmanager
def removed(cluster: Cluster, namespace: str) -> Iterator[None]:
    """Have the contents of a namespace's snapshots go with it, and what they hold of the storage too.

    In the block the namespace is deleted. A content that has lost its snapshot before, as a clone's temporary one, is
    deleted after it. What the account may not touch is left, and found by whoever compares the cluster with before.
    """
    for content in _contents(cluster, namespace):
        if content["spec"].get("deletionPolicy") == "Retain":
            with _if_allowed():
                name = content["metadata"]["name"]
                cluster.patch(VOLUME_SNAPSHOT_CONTENTS, name, {"spec": {"deletionPolicy": "Delete"}})
    yield
    for content in _contents(cluster, namespace):
        # One that could not be told to give up what it holds is not to be forgotten by the cluster.
        if content["spec"].get("deletionPolicy") != "Retain":
            with _if_allowed():
                cluster.delete(VOLUME_SNAPSHOT_CONTENTS, content["metadata"]["name"])


def _contents(cluster: Cluster, namespace: str) -> Objects:
    with _if_allowed():
        return [item for item in cluster.items(VOLUME_SNAPSHOT_CONTENTS) if _is_of(item, namespace)]
    return []


def _is_of(content: Object, namespace: str) -> bool:
    """Whether a content belongs to a snapshot of a namespace; the snapshot may be gone."""
    return bool((content["spec"].get("volumeSnapshotRef") or {}).get("namespace") == namespace)


@contextmanager
def _if_allowed() -> Iterator[None]:
    """Without snapshots there is nothing to do; without leave nothing can be done."""
    try:
        yield
    except NotFoundError:
        return
    except ApiError as error:
        if error.code != FORBIDDEN:
            raise
