"""What a process of this machine is told that stands for a pod's container."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from lab.agent import container
from lab.config import LabConfig

FILES = Path("/state/containers/u1")


def pod(**given: Any) -> dict[str, Any]:
    entry = {
        "name": "c", "image": f"{container.IMAGE}:here", "command": ["python", "-m", "x"],
        "args": ["/etc/mine/plan.json", "/etc/mine-too", "$(WHO)"],
        "volumeMounts": [{"name": "files", "mountPath": "/etc/mine"}],
        "env": [
            {"name": "WHO", "value": "seven"}, {"name": "WHERE", "value": "/etc/mine"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "INDEX", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['index']"}}},
        ],
        **given,
    }
    meta = {"name": "p", "namespace": "n", "uid": "u1", "annotations": {"index": "3"}}
    return {"metadata": meta, "spec": {"containers": [entry]}}


def test_mount_paths_are_the_directories_that_stand_for_them() -> None:
    """A path that only begins alike is none of them."""
    body = pod()
    spec = container.single(body)
    where = container.mounts(spec, FILES)
    variables = container.environment(body, spec, where, "10.77.100.10", "clients")
    assert variables == {"WHO": "seven", "WHERE": f"{FILES}/files", "IP": "10.77.100.10", "INDEX": "3"}
    assert container.command(spec, where, variables) == [
        sys.executable, "-m", "x", f"{FILES}/files/plan.json", "/etc/mine-too", "seven",
    ]


def test_what_the_lab_does_not_know_is_refused() -> None:
    body = pod(env=[{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}])
    with pytest.raises(ValueError, match=r"status\.hostIP"):
        container.environment(body, container.single(body), {}, "", "")
    body = pod(command=[], args=[])
    with pytest.raises(ValueError, match="names no command"):
        container.command(container.single(body), {}, {})
    body = pod()
    body["spec"]["containers"] *= 2
    with pytest.raises(ValueError, match="one container"):
        container.single(body)


def test_pods_have_addresses_that_no_guest_gets_and_no_other_node_gives() -> None:
    """Guests' are 10.77.1.10 to 10.77.3.250."""
    config = LabConfig(clients="/somewhere")
    given = [set(config.container_addresses(node)) for node in config.every_node]
    assert config.every_node == (*config.nodes, "clients")
    assert len(set.union(*given)) == sum(map(len, given))
    assert all(int(address.split(".")[2]) >= 100 for one in given for address in one)
    assert LabConfig().every_node == LabConfig().nodes
