"""What a cluster has to offer before a run: what the chosen cases use, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from drainproof.api import LEASES, NODES, STORAGE_CLASSES, Cluster, Object, Resource
from drainproof.errors import CannotRunError
from drainproof.settings import Profile
from drainproof.target import StorageFacts, Target
from fixtures import session
from fixtures.observers import ALWAYS
from fixtures.portal import PortalPlan
from fixtures.target import preflight

TARGET = Target(name="made", guest_image="image", storage_classes=StorageFacts(shared="fast"))
"""Without a Prometheus, and without addresses for guests."""
PORTAL, DISK = "suites/galera/test_drain.py", "suites/storage/test_moved.py"


class Offers:
    """A cluster of two nodes with one storage class."""

    server = "https://made"

    def version(self) -> str:
        return "v1.36.2"

    def items(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        assert resource in (NODES, STORAGE_CLASSES, LEASES)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        names = {STORAGE_CLASSES: ["fast"], NODES: ["node-a", "node-b"], LEASES: []}[resource]
        labels = {"kubevirt.io/schedulable": "true"}
        return [{"metadata": {"name": name, "labels": labels}, "spec": {}, "status": ready} for name in names]


def refused(portal: bool) -> tuple[str, ...]:
    try:
        preflight(cast(Cluster, Offers()), TARGET, Profile(name="p", nodes=2), portal=portal)
    except CannotRunError as error:
        return error.reasons
    return ()


def test_a_prometheus_is_needed_for_portals_alone() -> None:
    """The storage suite measures nothing with it."""
    assert refused(portal=False) == ()
    (reason,) = refused(portal=True)
    assert "no Prometheus" in reason


def test_guest_addresses_are_needed_for_portals_alone() -> None:
    """The machines of the storage suite are told apart by whatever address they get."""
    plan = PortalPlan.of(Profile(name="p"), TARGET, "r", ALWAYS, portal=False)
    assert (plan.image, plan.storage_class) == ("image", "fast")
    with pytest.raises(CannotRunError, match="3 guest addresses"):
        PortalPlan.of(Profile(name="p"), TARGET, "r", ALWAYS)
    with pytest.raises(CannotRunError, match="guest image"):
        PortalPlan.of(Profile(name="p"), Target(name="made"), "r", ALWAYS, portal=False)


@pytest.mark.parametrize(
    ("cases", "portals"),
    [([["storage", "certification"]], False), ([["storage"], ["certification"]], True), ([["certification"]], True)],
)
def test_the_chosen_cases_tell_what_they_use(cases: list[list[str]], portals: bool) -> None:
    """Whatever path and -k have left of them."""
    items: Any = [SimpleNamespace(fixturenames=names) for names in cases]
    assert session._certify_portals(items) is portals


@pytest.mark.parametrize(
    ("paths", "portals"),
    [([DISK], False), ([f"{DISK}::test_one", "suites/storage"], False), ([DISK, PORTAL], True), (["suites"], True)],
)
def test_a_controller_of_workers_goes_by_the_paths(
    monkeypatch: pytest.MonkeyPatch, paths: list[str], portals: bool
) -> None:
    """It collects no cases itself."""
    monkeypatch.chdir(session.SUITES.parent)
    config: Any = SimpleNamespace(args=paths)
    assert session._asked_for_portals(config) is portals
