"""Server-side apply: who owns which fields, what an apply takes out, and with whom it conflicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.api import server_side_apply
from lab.api.caller import Caller
from lab.api.errors import Object, StatusError
from lab.api.field_paths import decode, encode, text
from lab.api.field_values import compare, field_set, merge
from lab.api.resources import Place, Resources
from lab.api.store import Store
from lab.api.stored import Stored
from lab.kinds import CONFIG_MAP, NAMESPACE, POD, SERVICE, VIRTUAL_MACHINE, Kind

USER = Caller("kubernetes-admin", allowed=True, manager="kubectl-create")
CONTROLLER = Caller("kubernetes-admin", allowed=True, component=True, manager="lab-controllers")
CONTAINER: Object = {"name": "main", "image": "example/a:1"}


@pytest.fixture
def resources() -> Resources:
    made = Resources(Store())
    made.create(Place(NAMESPACE, ""), {"metadata": {"name": "default"}}, USER)
    return made


def apply(
    resources: Resources, kind: Kind, body: Object, manager: str = "one", *, force: bool = False, subresource: str = ""
) -> Stored:
    body = {"kind": kind.name, "apiVersion": kind.api_version, **body}
    body["metadata"] = {"name": "x", **body.get("metadata", {})}
    query = {"fieldManager": manager, **({"force": "true"} if force else {})}
    place = Place(kind, "default", "x", subresource)
    wanted = server_side_apply.parse(place, kind.version, query, json.dumps(body).encode())
    return server_side_apply.apply(resources, wanted, USER)[1]


def owners(stored: Stored) -> dict[str, list[str]]:
    """The fields of each manager, as a conflict would name them."""
    return {
        entry["manager"]: sorted(text(path) for path in decode(entry["fieldsV1"]))
        for entry in stored.body["metadata"]["managedFields"]
    }


def test_field_sets_survive_their_encoding() -> None:
    """An element that is owned itself, beside what is below it, is told from one that is not."""
    fields = frozenset({("f:a",), ("f:a", "f:b"), ("f:c", 'k:{"name":"x"}', "f:d"), ("f:e", 'v:"y"')})
    tree = encode(fields)
    assert tree == {
        "f:a": {".": {}, "f:b": {}}, "f:c": {'k:{"name":"x"}': {"f:d": {}}}, "f:e": {'v:"y"': {}},
    }
    assert decode(tree) == fields


def test_lists_that_merge_by_key_are_owned_by_element() -> None:
    """Containers and ports by key, with the key's default; finalizers as a set; unknown lists as a whole."""
    body: Object = {
        "metadata": {"finalizers": ["example.com/hold"]},
        "spec": {"containers": [{**CONTAINER, "ports": [{"containerPort": 80}], "args": ["a"]}], "tolerations": [{}]},
    }
    assert {text(path) for path in field_set(POD, body)} == {
        '.metadata.finalizers[="example.com/hold"]', '.spec.containers[name="main"]',
        '.spec.containers[name="main"].name', '.spec.containers[name="main"].image',
        '.spec.containers[name="main"].args', '.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"]',
        '.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"].containerPort', ".spec.tolerations",
    }
    disks: Object = {"spec": {"template": {"spec": {"domain": {"devices": {"disks": [{"name": "d"}]}}}}}}
    assert {text(path) for path in field_set(VIRTUAL_MACHINE, disks)} == {".spec.template.spec.domain.devices.disks"}


def test_merging_keeps_the_elements_of_others_in_their_places() -> None:
    """Wished elements in their own order, others where they were, new ones at the end."""
    live: Object = {"spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}, {"name": "c"}]}}
    config: Object = {"spec": {"containers": [{"name": "c"}, {"name": "a", "image": "2"}, {"name": "d"}]}}
    merged = merge(POD, live, config)["spec"]["containers"]
    assert [item["name"] for item in merged] == ["c", "b", "a", "d"]
    assert merged[2]["image"] == "2"


def test_changes_name_containers_that_come_and_go() -> None:
    """A map that appears is a change of its own besides its keys; one that only grows is not."""
    changes = compare(CONFIG_MAP, {"data": {"a": "1"}}, {"data": {"a": "2", "b": "1"}})
    assert (changes.added, changes.modified, changes.removed) == ({("f:data", "f:b")}, {("f:data", "f:a")}, set())
    gone = compare(CONFIG_MAP, {"data": {"a": "1"}}, {})
    assert gone.removed == {("f:data",), ("f:data", "f:a")}


def test_what_is_no_longer_applied_goes_with_what_stood_in_it(resources: Resources) -> None:
    """An element that nobody else owns goes whole, with its defaults; a shared one stays."""
    both = [CONTAINER, {"name": "side", "image": "example/b:1"}]
    apply(resources, POD, {"spec": {"containers": both}})
    left = apply(resources, POD, {"spec": {"containers": [CONTAINER]}}).body["spec"]["containers"]
    assert [item["name"] for item in left] == ["main"]
    apply(resources, POD, {"spec": {"containers": both}})
    apply(resources, POD, {"spec": {"containers": [{"name": "side", "image": "example/b:1"}]}}, "two")
    kept = apply(resources, POD, {"spec": {"containers": [CONTAINER]}}).body["spec"]["containers"]
    assert [item["name"] for item in kept] == ["main", "side"]


def test_several_conflicts_are_named_by_manager(resources: Resources) -> None:
    """The message lists every field below its owner, and each is a cause."""
    apply(resources, CONFIG_MAP, {"data": {"a": "1", "b": "1"}})
    apply(resources, CONFIG_MAP, {"data": {"c": "1"}}, "two")
    with pytest.raises(StatusError) as refused:
        apply(resources, CONFIG_MAP, {"data": {"a": "2", "b": "2", "c": "2"}}, "three")
    assert refused.value.message == (
        'Apply failed with 3 conflicts: conflicts with "one":\n- .data.a\n- .data.b\nconflicts with "two":\n- .data.c'
    )
    assert [cause["field"] for cause in (refused.value.details or {})["causes"]] == [".data.a", ".data.b", ".data.c"]


def test_a_field_that_others_share_stays_when_one_lets_go(resources: Resources) -> None:
    """Two managers with the same value own it both."""
    apply(resources, CONFIG_MAP, {"data": {"a": "1"}})
    apply(resources, CONFIG_MAP, {"data": {"a": "1"}}, "two")
    left = apply(resources, CONFIG_MAP, {"data": {}})
    assert left.body["data"] == {"a": "1"}
    assert owners(left) == {"two": [".data.a"], "one": [".data"]}


def test_other_writes_take_the_fields_that_they_change(resources: Resources) -> None:
    """A patch of an applied object is an Update; the next apply then conflicts with who made it."""
    apply(resources, CONFIG_MAP, {"data": {"a": "1", "b": "1"}})
    place = Place(CONFIG_MAP, "default", "x")
    changed = resources.update(place, lambda body: {**body, "data": {"a": "2", "b": "1"}}, CONTROLLER)
    assert owners(changed) == {"one": [".data.b"], "lab-controllers": [".data.a"]}
    with pytest.raises(StatusError) as refused:
        apply(resources, CONFIG_MAP, {"data": {"a": "1", "b": "1"}})
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "lab-controllers" using v1: .data.a'


def test_objects_that_nobody_has_applied_carry_no_managed_fields(resources: Resources) -> None:
    """They cost nothing; the first apply finds them in the hands of who created them."""
    body: Object = {"metadata": {"name": "x"}, "data": {"a": "1"}}
    made = resources.create(Place(CONFIG_MAP, "default"), body, USER)
    assert "managedFields" not in made.body["metadata"]
    with pytest.raises(StatusError) as refused:
        apply(resources, CONFIG_MAP, {"data": {"a": "2"}})
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "kubectl-create" using v1: .data.a'
    shared = apply(resources, CONFIG_MAP, {"data": {"a": "1"}})
    assert owners(shared) == {"one": [".data.a"], "kubectl-create": [".data", ".data.a"]}


def test_who_created_an_object_is_forgotten_with_it(resources: Resources) -> None:
    """The store keeps a name for each object of a user, and for no other."""
    made = resources.create(Place(CONFIG_MAP, "default"), {"metadata": {"name": "x"}}, USER)
    assert made.body["metadata"]["uid"] in resources.store.creators
    resources.store.remove(made, made.body)
    assert made.body["metadata"]["uid"] not in resources.store.creators


def test_kubectl_takes_over_what_it_applied_itself_before(resources: Resources) -> None:
    """Fields of the last-applied annotation are no conflict for kubectl, as long as they have not changed since."""
    last = json.dumps({"data": {"a": "1"}})
    body: Object = {
        "metadata": {"name": "x", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}},
        "data": {"a": "1"},
    }
    resources.create(Place(CONFIG_MAP, "default"), body, USER)
    assert apply(resources, CONFIG_MAP, {"data": {"a": "2"}}, "kubectl").body["data"] == {"a": "2"}


def test_a_status_is_applied_through_its_subresource_only(resources: Resources) -> None:
    """Through the object it is ignored; through /status nothing else changes, and its owner is another."""
    spec: Object = {"ports": [{"port": 80}]}
    made = apply(resources, SERVICE, {"spec": spec, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}})
    assert made.body["status"] == {"loadBalancer": {}}
    status: Object = {"spec": {"ports": [{"port": 81}]}, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    told = apply(resources, SERVICE, status, subresource="status")
    assert told.body["spec"] == made.body["spec"]
    assert told.body["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1"}]
    assert [entry.get("subresource") for entry in told.body["metadata"]["managedFields"]] == [None, "status"]


def test_status_updates_of_the_labs_own_cost_no_bookkeeping(resources: Resources) -> None:
    """The lab's controllers write statuses all the time; those writes leave managedFields alone."""
    made = apply(resources, SERVICE, {"spec": {"ports": [{"port": 80}]}})
    place = Place(SERVICE, "default", "x", "status")
    told = resources.update(
        place, lambda body: {**body, "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}, CONTROLLER
    )
    assert told.version > made.version
    assert told.body["metadata"]["managedFields"] == made.body["metadata"]["managedFields"]


@pytest.mark.parametrize(("containers", "text_"), [
    ([{"image": "example/a:1"}], 'element that omits key field "name"'),
    ([CONTAINER, CONTAINER], "duplicate entries for key"),
])
def test_a_list_that_breaks_its_rule_is_refused(resources: Resources, containers: list[Any], text_: str) -> None:
    """What merges by key must have it, once."""
    with pytest.raises(StatusError) as refused:
        apply(resources, POD, {"spec": {"containers": containers}})
    assert (refused.value.code, text_ in refused.value.message) == (500, True)
