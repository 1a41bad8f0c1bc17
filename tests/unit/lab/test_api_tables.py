"""Tables, durations and accepted forms of the lab's API."""

from __future__ import annotations

from typing import Any

import pytest

from lab.api import cells
from lab.api.columns import short_duration
from lab.api.errors import StatusError
from lab.api.negotiate import DISCOVERY, PARTIAL, PLAIN, TABLE, parse_accept
from lab.api.stored import Stored
from lab.api.tables import COLUMNS, table
from lab.kinds import KINDS, VIRTUAL_MACHINE_INSTANCE


def test_every_kind_has_columns() -> None:
    """Each served kind prints its name and, but for events, begins with it; empty objects print too."""
    for kind in KINDS:
        body = {"metadata": {"name": "x", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}}
        shown = table(kind, [Stored(kind, body)], {}, "v1")
        assert "x" in shown["rows"][0]["cells"]
        assert len(shown["columnDefinitions"]) == len(COLUMNS[kind.name])


def test_instance_columns() -> None:
    """A VMI's row as the real server prints it."""
    body = {
        "metadata": {"name": "web", "resourceVersion": "1"},
        "status": {
            "phase": "Running", "nodeName": "n", "interfaces": [{"ipAddress": "10.77.1.10"}],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "LiveMigratable", "status": "True"}],
        },
    }
    row = table(VIRTUAL_MACHINE_INSTANCE, [Stored(VIRTUAL_MACHINE_INSTANCE, body)], {}, "v1", "None")["rows"][0]
    assert row == {"cells": ["web", "<unknown>", "Running", "10.77.1.10", "n", "True", "True", None]}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"), (10800, "3h"), (11700, "3h15m"),
     (90000, "25h"), (180000, "2d2h"), (864000, "10d"), (100000000, "3y"), (-5, "0s")],
)
def test_durations(seconds: int, text: str) -> None:
    """Ages are as short as kubectl writes them."""
    assert short_duration(seconds) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"metadata": {}, "status": {"phase": "Running"}}, "Running"),
        ({"metadata": {}, "status": {"phase": "Succeeded", "containerStatuses": [
            {"state": {"terminated": {"reason": "Completed"}}}]}}, "Completed"),
        ({"metadata": {}, "status": {"phase": "Pending", "containerStatuses": [
            {"state": {"waiting": {"reason": "ErrImagePull"}}}]}}, "ErrImagePull"),
        ({"metadata": {"deletionTimestamp": "x"}, "status": {"phase": "Running"}}, "Terminating"),
    ],
)
def test_pod_status(body: dict[str, Any], text: str) -> None:
    """The STATUS column prefers a container's reason and says when the pod is going."""
    assert cells.pod_status(body) == text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", PLAIN), ("*/*", PLAIN), ("application/json", PLAIN),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", TABLE),
        ("application/json;as=Nonsense;v=v1;g=meta.k8s.io,application/json", PLAIN),
        ("application/vnd.kubernetes.protobuf,application/json", PLAIN),
        ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", PARTIAL),
    ],
)
def test_accepted_forms(accept: str, kind: str) -> None:
    """The first form that can be served wins."""
    assert parse_accept(accept).kind == kind


@pytest.mark.parametrize(
    "accept", ["application/xml", "application/json;as=Nonsense;v=v1", "application/vnd.x+protobuf"]
)
def test_unacceptable_forms(accept: str) -> None:
    """406 when nothing in the list can be served."""
    with pytest.raises(StatusError) as error:
        parse_accept(accept)
    assert error.value.code == 406


def test_discovery_falls_back() -> None:
    """Clients that ask for an older aggregated discovery first get the plain one."""
    old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    assert parse_accept(old, (DISCOVERY,)).kind == PLAIN
