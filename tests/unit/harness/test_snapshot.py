"""What a run may leave behind on a cluster that it shares with others."""

from __future__ import annotations

from typing import Any, cast

import pytest

from drainproof.api import NODES, VOLUME_SNAPSHOT_CONTENTS, VOLUMES, Cluster, Object, Resource
from drainproof.errors import ApiError, NotFoundError
from fixtures.snapshot import snapshot

KIND = VOLUME_SNAPSHOT_CONTENTS.kind


class Objects:
    """A cluster that lists what it was given, or refuses."""

    def __init__(self, contents: list[Object] | Exception) -> None:
        self.lists: dict[Resource, Any] = {
            NODES: [{"metadata": {"name": "node-a"}}],
            VOLUMES: [{"metadata": {"name": "pv-1"}, "spec": {"claimRef": {"namespace": "mine"}}}],
            VOLUME_SNAPSHOT_CONTENTS: contents,
        }

    def items(self, resource: Resource) -> list[Object]:
        found: Any = self.lists.get(resource, [])
        if isinstance(found, Exception):
            raise found
        return cast(list[Object], found)


def taken(contents: list[Object] | Exception) -> dict[str, Any]:
    return snapshot(cast(Cluster, Objects(contents)), "mine", ["node-a"])


def content(name: str, namespace: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"volumeSnapshotRef": {"namespace": namespace, "name": "snapshot"}}}


def test_a_snapshot_s_content_that_outlives_its_namespace_is_left_behind() -> None:
    """A snapshot class that retains keeps it, and the storage it takes; those of others are theirs."""
    told = taken([content("kept", "mine"), content("other", "yours")])
    assert told["objects"][KIND] == ["kept"]
    assert told["objects"]["PersistentVolume"] == ["pv-1"]
    assert told != taken([content("other", "yours")])


def test_where_no_copies_are_made_none_are_looked_for() -> None:
    """An account that may not list them proves as much of a portal as any other."""
    cluster = cast(Cluster, Objects(ApiError("GET", 403, "Forbidden", "no")))
    told = snapshot(cluster, "mine", ["node-a"], copies=False)
    assert "unseen" not in told
    assert KIND not in told["objects"]


def test_a_cluster_without_snapshots_leaves_none() -> None:
    """It knows nothing of the kind."""
    assert taken(NotFoundError("GET", 404, "NotFound", "no such kind"))["objects"][KIND] == []


def test_what_may_not_be_listed_is_told_as_unseen() -> None:
    """Nobody claims that nothing was left; any other trouble is one."""
    told = taken(ApiError("GET", 403, "Forbidden", "no"))
    assert KIND not in told["objects"]
    assert KIND in told["unseen"]
    with pytest.raises(ApiError, match="503"):
        taken(ApiError("GET", 503, "Unavailable", "a moment"))
