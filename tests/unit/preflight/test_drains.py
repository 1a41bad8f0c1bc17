"""Pods for which a drain would refuse a node are told before the run; nothing is refused for them yet."""

from __future__ import annotations

from typing import Any

from drainproof.resources import Object
from fixtures.preflight.drains import refused_pods
from fixtures.preflight.reasons import Effect
from tests.unit.preflight.sites import Site, plain, pod
from tests.unit.preflight.test_judgement import context

CACHE: Any = [{"name": "cache", "emptyDir": {}}]


def alone(name: str, on: str) -> Object:
    found = pod(name, on, "1", "1Gi")
    found["metadata"]["ownerReferences"] = []
    return found


def controlled(name: str, on: str, **more: Any) -> Object:
    return pod(name, on, "1", "1Gi", **more)


def told(*pods: Object, bystanders: bool = False) -> list[tuple[str, Effect]]:
    site = Site({**plain(), "pods": list(pods)})
    found = refused_pods(context(site, bystanders=bystanders), ["node-a", "node-b"])
    return [(reason.what, reason.effect) for reason in found]


def test_what_would_be_lost_is_named_with_its_node() -> None:
    """On nodes that may be disturbed alone; where bystanders are allowed, only what has no controller."""
    pods = (
        alone("db", "node-a"), controlled("web", "node-b", volumes=CACHE),
        controlled("plain", "node-a"), controlled("far", "node-e", volumes=CACHE),
    )
    begins = "A drain would refuse nodes for pods of others that are on them: "
    db = "node-a for other/db, no controller would create it again"
    web = "node-b for other/web, its emptyDir cache would be lost"
    assert told(*pods) == [(f"{begins}{db}; {web}", Effect.UNSURE)]
    assert told(*pods, bystanders=True) == [(begins + db, Effect.UNSURE)]
    assert told(controlled("plain", "node-a")) == []


def test_the_first_ten_are_named() -> None:
    (found,) = told(*(alone(f"db-{number:02}", "node-a") for number in range(12)))
    assert "other/db-09" in found[0]
    assert found[0].endswith("; and 2 more")
