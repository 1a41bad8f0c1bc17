"""Watches begin, select, resume, bookmark and end as recorded from a real cluster."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.server import ApiServer, pause


def create(server: ApiServer, namespace: str, name: str, labels: dict[str, str] | None = None) -> int:
    body = {"metadata": {"name": name, "labels": labels or {}}}
    made = server.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", body)
    return int(made.body["metadata"]["resourceVersion"])


def relabel(server: ApiServer, namespace: str, name: str, labels: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/merge-patch+json"}
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
    assert server.call("PATCH", path, {"metadata": {"labels": labels}}, headers=headers).status == 200


def watch(server: ApiServer, namespace: str, query: str, during: Callable[[], object] = lambda: None) -> list[Any]:
    """The events of one watch; `during` runs 0.3 s after it opens."""

    def later() -> None:
        pause(0.3)
        during()

    worker = threading.Thread(target=later)
    worker.start()
    events = server.watch(f"/api/v1/namespaces/{namespace}/configmaps?watch=true&{query}")
    worker.join()
    return events


def names(events: list[Any]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


@pytest.mark.parametrize("start", ["", "&resourceVersion=0"])
def test_watch_from_nowhere_begins_with_what_is_there(api_server: ApiServer, namespace: str, start: str) -> None:
    """Unset or 0: synthetic ADDED events in order of name, then changes."""
    create(api_server, namespace, "b")
    create(api_server, namespace, "a")
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    events = watch(api_server, namespace, f"timeoutSeconds=1{start}", lambda: api_server.call("DELETE", path))
    assert names(events) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


def test_watch_resumes_after_a_version(api_server: ApiServer, namespace: str) -> None:
    """A version that history covers replays the events after it, also of objects that are gone."""
    version = create(api_server, namespace, "a")
    create(api_server, namespace, "b")
    api_server.call("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/b")
    events = watch(api_server, namespace, f"timeoutSeconds=1&resourceVersion={version}")
    assert names(events) == [("ADDED", "b"), ("DELETED", "b")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions[0] < versions[1]


def test_selector_transitions(api_server: ApiServer, namespace: str) -> None:
    """What starts to match is ADDED; what stops is DELETED with the old labels and the new version."""
    create(api_server, namespace, "a", {"c": "blue"})

    def change() -> None:
        relabel(api_server, namespace, "a", {"c": "red"})
        relabel(api_server, namespace, "a", {"d": "1"})
        relabel(api_server, namespace, "a", {"c": "blue"})

    events = watch(api_server, namespace, "timeoutSeconds=1&labelSelector=c%3Dred", change)
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    last = events[-1]["object"]["metadata"]
    assert last["labels"]["c"] == "red"
    current = api_server.call("GET", f"/api/v1/namespaces/{namespace}/configmaps/a").body["metadata"]
    assert last["resourceVersion"] == current["resourceVersion"]


def test_no_op_makes_no_event(api_server: ApiServer, namespace: str) -> None:
    """An update that changes nothing keeps the version and is not seen."""
    version = create(api_server, namespace, "a", {"c": "red"})
    relabel(api_server, namespace, "a", {"c": "red"})
    assert watch(api_server, namespace, f"timeoutSeconds=1&resourceVersion={version}") == []


def test_initial_events_and_bookmarks(api_server: ApiServer, namespace: str) -> None:
    """sendInitialEvents ends its list with a marked bookmark; two more come shortly before the timeout."""
    create(api_server, namespace, "a")
    events = watch(api_server, namespace, (
        "timeoutSeconds=3&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"))
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK", "BOOKMARK", "BOOKMARK"]
    assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert set(events[2]["object"]["metadata"]) == {"resourceVersion"}


def test_too_old_is_an_error_event(api_server: ApiServer, namespace: str) -> None:
    """Before the history: HTTP 200, one ERROR event with 410 Expired, then the end."""
    events = watch(api_server, namespace, "timeoutSeconds=5&resourceVersion=1")
    assert [event["type"] for event in events] == ["ERROR"]
    status = events[0]["object"]
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("too old resource version: 1 (")


def test_bad_parameters(api_server: ApiServer, namespace: str) -> None:
    """The refusals keep the real codes: 500 for the version of a watch, 400 for that of a list, 422 for the rest."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert api_server.call("GET", f"{path}?watch=true&resourceVersion=abc").status == 500
    assert api_server.call("GET", f"{path}?resourceVersion=abc").status == 400
    assert api_server.call("GET", f"{path}?watch=true&sendInitialEvents=true").status == 422
    assert api_server.call("GET", f"{path}?watch=true&resourceVersionMatch=NotOlderThan").status == 422
    assert api_server.call("GET", f"{path}/a?watch=true").status == 404


def test_paging_is_consistent(api_server: ApiServer, namespace: str) -> None:
    """A paged list shows the state of its first page, whatever happens meanwhile."""
    for name in "abcde":
        create(api_server, namespace, name)
    path = f"/api/v1/namespaces/{namespace}/configmaps?limit=2"
    first = api_server.call("GET", path).body
    assert first["metadata"]["remainingItemCount"] == 3
    api_server.call("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/c")
    second = api_server.call("GET", f"{path}&continue={first['metadata']['continue']}").body
    third = api_server.call("GET", f"{path}&continue={second['metadata']['continue']}").body
    listed = [item["metadata"]["name"] for page in (first, second, third) for item in page["items"]]
    assert listed == ["a", "b", "c", "d", "e"]
    assert "continue" not in third["metadata"]


def test_two_hundred_watches(api_server: ApiServer, namespace: str) -> None:
    """Two hundred open streams all see one change, each within a second."""
    context = ssl.create_default_context(cafile=str(api_server.config.ca_file))
    headers = {"Authorization": f"Bearer {api_server.token}"}
    path = f"/api/v1/namespaces/{namespace}/configmaps?watch=true"
    streams = []
    for _ in range(200):
        connection = http.client.HTTPSConnection("127.0.0.1", api_server.config.api_port, context=context, timeout=20)
        connection.request("GET", path, headers=headers)
        streams.append((connection, connection.getresponse()))
    started = time.monotonic()
    create(api_server, namespace, "seen")
    for connection, response in streams:
        assert json.loads(response.readline())["object"]["metadata"]["name"] == "seen"
        connection.close()
    assert time.monotonic() - started < 3
