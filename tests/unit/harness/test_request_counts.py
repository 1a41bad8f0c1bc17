"""The count of requests: what is counted together, and that threads lose none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from drainproof.request_counts import RequestCounter, RequestKind, kind_of


@pytest.mark.parametrize(("method", "path", "verb", "resource"), [
    ("GET", "/version", "get", "/version"),
    ("GET", "/apis/kubevirt.io/v1", "get", "/apis/kubevirt.io/v1"),
    ("GET", "/api/v1/nodes", "list", "nodes"),
    ("GET", "/api/v1/nodes/n", "get", "nodes"),
    ("GET", "/api/v1/namespaces", "list", "namespaces"),
    ("DELETE", "/api/v1/namespaces/ns", "delete", "namespaces"),
    ("PUT", "/api/v1/namespaces/ns/finalize", "update", "namespaces/finalize"),
    ("GET", "/api/v1/namespaces/ns/pods", "list", "pods"),
    ("POST", "/api/v1/namespaces/ns/pods/p/eviction", "create", "pods/eviction"),
    ("PUT", "/apis/subresources.kubevirt.io/v1/namespaces/ns/virtualmachines/vm/restart", "update",
     "virtualmachines/restart"),
    ("GET", "/api/v1/namespaces/ns/services/prometheus:9090/proxy/api/v1/query", "get", "services/proxy"),
])
def test_requests_are_told_apart_by_their_path(method: str, path: str, verb: str, resource: str) -> None:
    assert kind_of(method, path, 200) == RequestKind(verb, resource, 200)


def test_a_watch_and_an_apply_have_verbs_of_their_own() -> None:
    assert kind_of("GET", "/api/v1/pods", 200, watch=True).verb == "watch"
    assert kind_of("PATCH", "/api/v1/nodes/n", 200, content_type="application/apply-patch+yaml").verb == "apply"
    assert kind_of("PATCH", "/api/v1/nodes/n", 200, content_type="application/merge-patch+json").verb == "patch"


def test_no_request_of_any_thread_is_lost() -> None:
    """And a snapshot stays as it was."""
    counter, kind = RequestCounter(), RequestKind("get", "nodes", 200)
    counter.add(kind)
    before = counter.snapshot()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(counter.add, [kind] * 8000))
    assert before.total == 1
    assert (counter.snapshot() - before).total == 8000
