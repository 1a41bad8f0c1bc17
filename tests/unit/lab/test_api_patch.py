"""Patches of the lab's API: JSON, merge and strategic merge."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from lab.api import patch
from lab.api.errors import StatusError
from lab.api.server_side_apply import APPLY_PATCH
from lab.api.strategic import strategic_merge
from lab.kinds import CONFIG_MAP, NODE, POD, SERVICE, VIRTUAL_MACHINE

NODE_BODY: dict[str, Any] = {
    "metadata": {"name": "n", "finalizers": ["a/x"]},
    "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("change", "path", "expected"),
    [
        ({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, ("status", "conditions"),
         [{"type": "Ready", "status": "False"}, {"type": "DiskPressure", "status": "False"}]),
        ({"status": {"conditions": [{"$patch": "delete", "type": "Ready"}]}}, ("status", "conditions"),
         [{"type": "DiskPressure", "status": "False"}]),
        ({"status": {"conditions": [{"type": "x"}, {"$patch": "replace"}]}}, ("status", "conditions"), [{"type": "x"}]),
        ({"spec": {"taints": [{"key": "c"}]}}, ("spec", "taints"), [{"key": "c"}]),
        ({"metadata": {"finalizers": ["a/y"]}}, ("metadata", "finalizers"), ["a/x", "a/y"]),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/x"]}}, ("metadata", "finalizers"), []),
        ({"status": {"$setElementOrder/conditions": [{"type": "DiskPressure"}, {"type": "Ready"}]}},
         ("status", "conditions"),
         [{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": "True"}]),
        ({"spec": {"taints": None}}, ("spec",), {}),
        ({"spec": {"$retainKeys": ["unschedulable"], "unschedulable": True}}, ("spec",), {"unschedulable": True}),
        ({"spec": {"$patch": "replace", "x": 1}}, ("spec",), {"x": 1}),
    ],
)
def test_strategic_merge(change: dict[str, Any], path: tuple[str, ...], expected: Any) -> None:
    """Lists merge by key, directives do what they say, and the original stays as it was."""
    before = copy.deepcopy(NODE_BODY)
    found: Any = strategic_merge(NODE, NODE_BODY, change)
    for part in path:
        found = found[part]
    assert found == expected
    assert before == NODE_BODY


def test_ports_merge_by_their_kind() -> None:
    """Service ports merge by port, container ports by containerPort."""
    service = strategic_merge(SERVICE, {"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": [{"port": 81}]}})
    assert [port["port"] for port in service["spec"]["ports"]] == [80, 81]
    pod: dict[str, Any] = {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}]}]}}
    change = {"spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 1, "name": "x"}]}]}}
    assert strategic_merge(POD, pod, change) == change


def test_missing_merge_key() -> None:
    """An element without its key cannot be merged."""
    with pytest.raises(StatusError, match="merge key: type"):
        strategic_merge(NODE, NODE_BODY, {"status": {"conditions": [{"status": "True"}]}})


def test_merge_patch() -> None:
    """null deletes, objects merge, lists replace."""
    assert patch.merge({"a": {"b": 1, "c": 2}, "l": [1]}, {"a": {"b": None, "d": 3}, "l": [2]}) == {
        "a": {"c": 2, "d": 3}, "l": [2],
    }


@pytest.mark.parametrize("operation", [
    {"op": "test", "path": "/data/a", "value": "no"}, {"op": "remove", "path": "/data/x"},
    {"op": "jump", "path": "/data"}, {"op": "add"},
    {"op": "remove", "path": "/metadata"}, {"op": "add", "path": "data", "value": 1},
])
def test_json_patches_that_fail(operation: dict[str, Any]) -> None:
    """Whatever is wrong with an operation, the answer is the same 422."""
    with pytest.raises(StatusError) as error:
        patch.apply(CONFIG_MAP, patch.JSON_PATCH, [operation], {"metadata": {"name": "a"}, "data": {"a": "1"}})
    assert (error.value.code, error.value.reason) == (422, "Invalid")


def test_types_by_kind() -> None:
    """Strategic patches are for core kinds; server-side apply is no patch of this module."""
    patch.check_type(NODE, patch.STRATEGIC_PATCH)
    for kind, media in ((VIRTUAL_MACHINE, patch.STRATEGIC_PATCH), (NODE, APPLY_PATCH), (NODE, "text/plain")):
        with pytest.raises(StatusError) as error:
            patch.check_type(kind, media)
        assert error.value.code == 415
