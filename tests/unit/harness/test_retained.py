"""What a snapshot class that retains keeps of a run's snapshots goes with the run's namespace."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from drainproof.api import VOLUME_SNAPSHOT_CONTENTS, Cluster, Object, Resource
from drainproof.errors import ApiError, DrainproofError, NotFoundError
from drainproof.journal import Journal
from drainproof.retained import removed
from drainproof.settings import Profile
from drainproof.wait import Deadline
from fixtures import storage

FORBIDDEN = ApiError("GET", 403, "Forbidden", "no")


class Contents:
    """A cluster with snapshots' contents of two namespaces: one that retains, one that does not, one of others."""

    def __init__(self, **refusals: ApiError) -> None:
        self.refusals = refusals
        self.kept = {
            name: {"deletionPolicy": policy, "volumeSnapshotRef": {"namespace": namespace}}
            for name, policy, namespace in (("a", "Retain", "mine"), ("b", "Delete", "mine"), ("c", "Retain", "yours"))
        }
        self.calls: list[str] = []

    def items(self, resource: Resource) -> list[Object]:
        self._refuse("items", resource)
        return [{"metadata": {"name": name}, "spec": dict(spec)} for name, spec in self.kept.items()]

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        return body

    def patch(self, resource: Resource, name: str, patch: dict[str, Any]) -> Object:
        self._refuse("patch", resource)
        self.kept[name] |= patch["spec"]
        self.calls.append(f"patch {name}")
        return {}

    def delete(self, resource: Resource, name: str) -> None:
        self._refuse("delete", resource)
        del self.kept[name]
        self.calls.append(f"delete {name}")

    def _refuse(self, verb: str, resource: Resource) -> None:
        assert resource == VOLUME_SNAPSHOT_CONTENTS
        if verb in self.refusals:
            raise self.refusals[verb]


def undone(**refusals: ApiError) -> Contents:
    cluster = Contents(**refusals)
    with removed(cast(Cluster, cluster), "mine"):
        cluster.calls.append("namespace")
    return cluster


def test_they_give_up_what_they_hold_before_their_namespace_goes() -> None:
    """Those that lost their snapshot earlier are deleted after it; those of others are theirs."""
    cluster = undone()
    assert cluster.calls == ["patch a", "namespace", "delete a", "delete b"]
    assert cluster.kept == {"c": {"deletionPolicy": "Retain", "volumeSnapshotRef": {"namespace": "yours"}}}


def test_one_that_may_not_be_told_to_is_not_hidden() -> None:
    """Its disk's copy would stay in the storage, and nothing in the cluster would tell of it."""
    assert set(undone(patch=FORBIDDEN).kept) == {"a", "c"}


@pytest.mark.parametrize("refusal", [NotFoundError("GET", 404, "NotFound", "no such kind"), FORBIDDEN])
def test_the_namespace_goes_in_any_case(refusal: ApiError) -> None:
    assert undone(items=refusal).calls == ["namespace"]
    assert undone(delete=refusal).calls == ["patch a", "namespace"]


def test_a_disk_s_certification_leaves_none_when_it_breaks_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are told before the copies themselves, and the namespace with them, are deleted."""
    cluster = Contents()
    monkeypatch.setattr(storage, "_deploy", Mock(side_effect=DrainproofError("no machine")))
    monkeypatch.setattr(storage, "delete_copies", lambda *_: cluster.calls.append("copies"))
    monkeypatch.setattr(storage, "delete_namespace", lambda *_: cluster.calls.append("namespace"))
    certification: Any = SimpleNamespace(
        cluster=cluster, plan=SimpleNamespace(namespace="mine"), journal=Journal.of(tmp_path),
        phase=lambda _: nullcontext(), profile=Profile(name="p"),
    )
    with pytest.raises(DrainproofError, match="no machine"), storage.deployed(certification, Deadline(1)):
        pass
    assert cluster.calls == ["patch a", "copies", "namespace", "delete a", "delete b"]


def test_other_trouble_is_told() -> None:
    with pytest.raises(ApiError, match="503"):
        undone(items=ApiError("GET", 503, "Unavailable", "a moment"))
