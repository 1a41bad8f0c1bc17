"""The lab's store: versions, history, and the rules of create, update and delete."""

from __future__ import annotations

import copy

import pytest

from lab.api import deletion, patch
from lab.api.caller import Caller
from lab.api.deletion import DeleteOptions
from lab.api.errors import Object, StatusError
from lab.api.resources import Place, Resources
from lab.api.store import FIRST_VERSION, Change, Store
from lab.api.stored import Stored
from lab.kinds import CONFIG_MAP, NAMESPACE, NODE, POD, VIRTUAL_MACHINE, VIRTUAL_MACHINE_INSTANCE, Kind

USER = Caller("kubernetes-admin", allowed=True)
COMPONENT = Caller("kubernetes-admin", allowed=True, component=True)
VMI: Object = {"metadata": {"name": "web"}, "spec": {"domain": {"devices": {}}}}
VM: Object = {"metadata": {"name": "web"}, "spec": {
    "runStrategy": "Halted", "template": {"spec": {"domain": {"devices": {}}}},
}}


@pytest.fixture
def resources() -> Resources:
    made = Resources(Store())
    made.create(Place(NAMESPACE, ""), {"metadata": {"name": "default"}}, USER)
    return made


def create(resources: Resources, kind: Kind, body: Object, caller: Caller = USER) -> Stored:
    namespace = "default" if kind.namespaced else ""
    return resources.create(Place(kind, namespace), copy.deepcopy(body), caller)


def change(resources: Resources, kind: Kind, name: str, document: Object, subresource: str = "") -> Stored:
    namespace = "default" if kind.namespaced else ""
    return resources.update(
        Place(kind, namespace, name, subresource), lambda body: patch.merge(body, document), COMPONENT
    )


def test_versions_grow_over_all_kinds(resources: Resources) -> None:
    """One counter serves every kind."""
    first = create(resources, CONFIG_MAP, {"metadata": {"name": "a"}})
    second = create(resources, NODE, {"metadata": {"name": "n"}})
    assert FIRST_VERSION < first.version < second.version == resources.store.version


def test_history_is_bounded() -> None:
    """Beyond its length the floor rises, and what is above it is complete."""
    store = Store(history=3)
    resources = Resources(store)
    versions = [
        resources.create(Place(NODE, ""), {"metadata": {"name": f"n{number}"}}, USER).version for number in range(5)
    ]
    assert store.floor(NODE) == versions[1]
    assert [change.version for change in store.since(NODE, versions[1])] == versions[2:]


def test_listeners_see_changes_until_they_stop(resources: Resources) -> None:
    """A listener gets the old and the new state of each change of its kind."""
    seen: list[Change] = []
    stop = resources.store.listen(CONFIG_MAP, seen.append)
    create(resources, CONFIG_MAP, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    change(resources, CONFIG_MAP, "a", {"data": {"k": "2"}})
    create(resources, NODE, {"metadata": {"name": "n"}})
    stop()
    change(resources, CONFIG_MAP, "a", {"data": {"k": "3"}})
    assert [(item.type, item.new.body["data"]["k"]) for item in seen] == [("ADDED", "1"), ("MODIFIED", "2")]


def test_no_op_keeps_the_version(resources: Resources) -> None:
    """A change that changes nothing writes nothing."""
    made = create(resources, CONFIG_MAP, {"metadata": {"name": "a"}, "data": {"k": "1"}})
    assert change(resources, CONFIG_MAP, "a", {"data": {"k": "1"}}) is made


def test_dry_run_stores_nothing(resources: Resources) -> None:
    """A dry run answers with the object and leaves no trace."""
    body = {"metadata": {"name": "a"}}
    made = resources.create(Place(CONFIG_MAP, "default"), body, USER, dry_run=True)
    assert "resourceVersion" not in made.body["metadata"]
    assert resources.store.get(CONFIG_MAP, "default", "a") is None


def test_generation_follows_the_spec(resources: Resources) -> None:
    """Metadata and status leave a VM's generation alone; a VMI, without status subresource, counts status too."""
    create(resources, VIRTUAL_MACHINE, VM)
    change(resources, VIRTUAL_MACHINE, "web", {"metadata": {"labels": {"a": "b"}}})
    change(resources, VIRTUAL_MACHINE, "web", {"status": {"ready": True}}, "status")
    assert resources.get(VIRTUAL_MACHINE, "default", "web").body["metadata"]["generation"] == 1
    machine = change(resources, VIRTUAL_MACHINE, "web", {"spec": {"runStrategy": "Always"}})
    assert machine.body["metadata"]["generation"] == 2
    create(resources, VIRTUAL_MACHINE_INSTANCE, VMI)
    instance = change(resources, VIRTUAL_MACHINE_INSTANCE, "web", {"status": {"phase": "Running"}})
    assert instance.body["metadata"]["generation"] == 2


def test_status_is_split(resources: Resources) -> None:
    """The main resource ignores status, the status subresource ignores the rest."""
    create(resources, NODE, {"metadata": {"name": "n"}})
    assert "status" not in change(resources, NODE, "n", {"status": {"phase": "x"}}).body
    both = change(resources, NODE, "n", {"status": {"phase": "x"}, "spec": {"unschedulable": True}}, "status")
    assert both.body["status"] == {"phase": "x"}
    assert "unschedulable" not in both.body.get("spec", {})


def test_finalizers_hold_and_release(resources: Resources) -> None:
    """Deletion waits for the last finalizer; the last state is seen as DELETED with a version of its own."""
    create(resources, CONFIG_MAP, {"metadata": {"name": "a", "finalizers": ["example.com/x"]}})
    place = Place(CONFIG_MAP, "default", "a")
    gone, held = deletion.delete(resources, place, DeleteOptions())
    assert not gone
    assert held.body["metadata"]["deletionGracePeriodSeconds"] == 0
    with pytest.raises(StatusError, match="no new finalizers"):
        change(resources, CONFIG_MAP, "a", {"metadata": {"finalizers": ["example.com/x", "example.com/y"]}})
    last = change(resources, CONFIG_MAP, "a", {"metadata": {"finalizers": None}})
    assert last.version > held.version
    assert resources.store.get(CONFIG_MAP, "default", "a") is None


@pytest.mark.parametrize(
    ("node", "phase", "grace", "gone"),
    [
        ("", "Pending", None, True), ("n", "Running", None, False), ("n", "Running", 0, True),
        ("n", "Succeeded", None, True),
    ],
)
def test_pods_get_their_grace(resources: Resources, node: str, phase: str, grace: int | None, gone: bool) -> None:
    """Only a pod that is bound and not ended waits for its kubelet."""
    spec: Object = {"containers": [{"name": "c", "image": "i"}]} | ({"nodeName": node} if node else {})
    create(resources, POD, {"metadata": {"name": "p"}, "spec": spec})
    change(resources, POD, "p", {"status": {"phase": phase}}, "status")
    options = DeleteOptions(grace_seconds=grace)
    found, _ = deletion.delete(resources, Place(POD, "default", "p"), options)
    assert found is gone


def test_namespaces_drain_first(resources: Resources) -> None:
    """A deleted namespace refuses new content and goes when its content's finalizer is removed."""
    deletion.delete(resources, Place(NAMESPACE, "", "default"), DeleteOptions())
    with pytest.raises(StatusError) as refused:
        create(resources, CONFIG_MAP, {"metadata": {"name": "late"}})
    assert (refused.value.code, refused.value.reason) == (403, "Forbidden")
    change(resources, NAMESPACE, "default", {"spec": {"finalizers": None}}, "finalize")
    assert resources.store.get(NAMESPACE, "", "default") is None


def test_components_may_change_what_users_may_not(resources: Resources) -> None:
    """Reserved labels of a VMI are open to the lab's own components alone."""
    create(resources, VIRTUAL_MACHINE_INSTANCE, VMI)
    change(resources, VIRTUAL_MACHINE_INSTANCE, "web", {"metadata": {"labels": {"kubevirt.io/nodeName": "n"}}})
    with pytest.raises(StatusError, match="reserved kubevirt.io/ labels"):
        resources.update(
            Place(VIRTUAL_MACHINE_INSTANCE, "default", "web"),
            lambda body: patch.merge(body, {"metadata": {"labels": {"kubevirt.io/nodeName": "m"}}}), USER,
        )
