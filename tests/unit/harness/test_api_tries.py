"""Trouble of the API: what is repeated and what is not, for how long, and that it is told and counted."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drainproof import connection, tries
from drainproof.api import LEASES, MACHINES, NAMESPACES, NODES, PODS, Cluster
from drainproof.errors import ApiError, ConflictError, EvictionRefusedError, NotFoundError
from drainproof.request import Answer, Request
from drainproof.request_counts import RequestKind
from drainproof.tries import Trouble
from drainproof.wait import Deadline
from tests.unit.harness.fakes import FakeClock
from tests.unit.harness.stub_api import Seen, Step, Stub, kubeconfig, status, stub_api

VERSION = Step(body={"gitVersion": "v1.36.2"})
THING = Step(body={"metadata": {"name": "thing", "resourceVersion": "7"}})
RESET, CUT = Step(reset=True), Step(body={"metadata": {"name": "thing"}}, cut=True)
WEBHOOK = status(500, "InternalError", 'Internal error occurred: failed calling webhook "x": timed out')
LEASE = {
    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l", "resourceVersion": "4"},
    "spec": {"holderIdentity": "me", "renewTime": "now"},
}
TROUBLES = [
    status(429, "TooManyRequests", Retry_After="1"), status(500, "InternalError"), status(502), WEBHOOK,
    status(503, "ServiceUnavailable"), status(504, "Timeout"), RESET, CUT, Step(body='{"metadata": {"na'),
]
IDS = ["429", "500", "502", "webhook", "503", "504", "reset", "cut", "not-json"]


def test_no_traceback_shows_what_is_sent_or_answered() -> None:
    """pytest prints the arguments of what has failed, and a CI's log is everybody's."""
    body = {"kind": "Secret", "stringData": {"password": "swordfish"}}
    assert "swordfish" not in repr(Request("PATCH", "/api/v1/namespaces/a/secrets/b", body=body))
    assert "swordfish" not in repr(Answer(200, text=json.dumps(body)))


@pytest.fixture
def api() -> Iterator[Stub]:
    with stub_api() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def told() -> list[Trouble]:
    return []


@pytest.fixture
def cluster(api: Stub, tmp_path: Path, clock: FakeClock, told: list[Trouble]) -> Cluster:
    """One that has been there before, whose pauses take no time."""
    connected = Cluster.connect(kubeconfig(tmp_path, api.url)).within(Deadline(600, clock)).telling(told.append)
    api.answers(VERSION)
    assert connected.version() == "v1.36.2"
    api.seen.clear()
    return connected


def evict(cluster: Cluster) -> None:
    cluster.evict("p", "ns")


REPEATABLE: dict[str, Callable[[Cluster], Any]] = {
    "get": lambda cluster: cluster.get(NODES, "n"),
    "list": lambda cluster: cluster.list(NODES),
    "apply": lambda cluster: cluster.apply(MACHINES, {"metadata": {"name": "vm"}}, "ns"),
    "patch": lambda cluster: cluster.patch(NODES, "n", {"spec": {"unschedulable": True}}),
    "delete": lambda cluster: cluster.delete(MACHINES, "vm", "ns"),
    "update": lambda cluster: cluster.update(LEASES, LEASE, "ns"),
    "evict": evict,
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=IDS)
@pytest.mark.parametrize("name", list(REPEATABLE))
def test_what_may_be_done_twice_is_repeated(
    cluster: Cluster, api: Stub, told: list[Trouble], name: str, trouble: Step
) -> None:
    """Whatever the trouble: the same request is sent until it is answered, and one who listens hears of it."""
    if name == "evict" and trouble.code == 429:
        pytest.skip("429 is the answer of an eviction, not trouble")
    api.answers(trouble, trouble, THING)
    REPEATABLE[name](cluster)
    assert len(api.seen) == 3
    assert len({str(seen) for seen in api.seen}) == 1
    code = 0 if trouble.reset or trouble.cut or trouble.code == 200 else trouble.code
    assert [(one.codes, one.tries, one.answered) for one in told] == [((code, code), 3, True)]


NAMELESS = {"metadata": {"generateName": "thing-"}}


@pytest.mark.parametrize("trouble", [status(429, Retry_After="2"), WEBHOOK], ids=["429", "webhook"])
def test_a_creation_that_was_not_begun_is_repeated(cluster: Cluster, api: Stub, trouble: Step) -> None:
    """A server that was too busy, or whose admission failed, has stored nothing."""
    api.answers(trouble, THING)
    assert cluster.create(PODS, NAMELESS, "ns")["metadata"]["name"] == "thing"
    assert [seen.method for seen in api.seen] == ["POST", "POST"]


@pytest.mark.parametrize("trouble", [RESET, CUT, status(500), status(502), status(503), status(504)])
@pytest.mark.parametrize("ask", [
    lambda cluster: cluster.create(PODS, NAMELESS, "ns"),
    lambda cluster: cluster.act(MACHINES, "vm", "ns", "restart"),
], ids=["create", "act"])
def test_what_may_have_been_done_is_not_done_again(
    cluster: Cluster, api: Stub, ask: Callable[[Cluster], Any], trouble: Step
) -> None:
    """A second machine, or a second restart, would be worse than an error; the error says that nobody knows."""
    api.answers(trouble, THING)
    with pytest.raises(ApiError, match="may have been carried out") as caught:
        ask(cluster)
    assert caught.value.may_be_done
    assert len(api.seen) == 1


def test_a_creation_whose_answer_was_lost_is_known_again(cluster: Cluster, api: Stub) -> None:
    """The object that is in the way bears the mark of the request; nobody else's does."""

    def stored(mine: bool) -> dict[str, Any]:
        meta = api.seen[0].body["metadata"] if mine else {"name": "thing"}
        return {"metadata": {**meta, "uid": "u"}}

    for mine in (True, False):
        api.seen.clear()
        api.answers(RESET, status(409, "AlreadyExists"), Step(body=partial(stored, mine)))
        if mine:
            assert cluster.create(NAMESPACES, {"metadata": {"name": "thing"}})["metadata"]["uid"] == "u"
        else:
            with pytest.raises(ConflictError):
                cluster.create(NAMESPACES, {"metadata": {"name": "thing"}})
        assert [seen.method for seen in api.seen] == ["POST", "POST", "GET"]
        assert api.seen[0].body == api.seen[1].body


def test_an_answer_is_no_trouble(cluster: Cluster, api: Stub, told: list[Trouble]) -> None:
    """404, 403, 409, 410, 422: asked once."""
    for code, kind in ((404, NotFoundError), (403, ApiError), (409, ConflictError), (410, ApiError), (422, ApiError)):
        api.answers(status(code, "Reason", "words"))
        with pytest.raises(kind, match=f"{code} Reason: words") as caught:
            cluster.get(NODES, "n")
        assert (caught.value.code, caught.value.tries) == (code, 1)
    assert len(api.seen) == 5
    assert told == []


def test_an_eviction_that_is_refused_is_an_answer(cluster: Cluster, api: Stub) -> None:
    """With 429 the disruption budget says no; elsewhere it says that the server is busy."""
    words = "Cannot evict pod as it would violate the pod's disruption budget."
    api.answers(status(429, "TooManyRequests", words, Retry_After="9"))
    with pytest.raises(EvictionRefusedError, match="disruption budget"):
        cluster.evict("p", "ns")
    assert len(api.seen) == 1
    with pytest.raises(ApiError) as caught:
        cluster.get(PODS, "p", "ns")
    assert not isinstance(caught.value, EvictionRefusedError)


def test_a_server_is_left_alone_for_as_long_as_it_asks(cluster: Cluster, api: Stub, clock: FakeClock) -> None:
    """Retry-After, in seconds; one that is longer than the patience ends it at once."""
    before = clock.now_ns
    api.answers(status(429, Retry_After="7"), THING)
    cluster.get(NODES, "n")
    assert (clock.now_ns - before) / 1e9 == pytest.approx(7)
    api.answers(status(503, Retry_After="3600"), THING)
    with pytest.raises(ApiError, match="503"):
        cluster.get(NODES, "n")
    assert (clock.now_ns - before) / 1e9 == pytest.approx(7)


def test_patience_ends(cluster: Cluster, api: Stub, clock: FakeClock, told: list[Trouble]) -> None:
    """The error says how often it was tried, for how long and what was left; pauses grow, and end with the patience."""
    api.answers(status(503, "ServiceUnavailable", "not yet"))
    before = clock.now_ns
    words = r"503 ServiceUnavailable: not yet \(tried \d+ times in .* s of patience"
    with pytest.raises(ApiError, match=words) as caught:
        cluster.patient(20).get(NODES, "n")
    assert 10 < (clock.now_ns - before) / 1e9 <= 20
    assert caught.value.tries == len(api.seen) > 5
    assert [(one.answered, one.tries) for one in told] == [(False, len(api.seen))]


def test_a_deadline_ends_patience(cluster: Cluster, api: Stub, clock: FakeClock) -> None:
    """Whoever has to be done by then is told by then."""
    api.answers(status(503))
    deadline = Deadline(3, clock)
    with pytest.raises(ApiError):
        cluster.within(deadline).get(NODES, "n")
    assert (clock.now_ns - deadline.started_ns) / 1e9 <= 3


def test_an_answer_may_take_longer_than_a_connection(
    cluster: Cluster, api: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow API is not one that cannot be reached, unless it is slower than a try may take."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.2)
    api.answers(Step(body={"gitVersion": "v1"}, seconds=0.8))
    assert cluster.impatient.version() == "v1"
    monkeypatch.setattr(tries, "REQUEST_SECONDS", 0.3)
    with pytest.raises(ApiError, match="ReadTimeout"):
        cluster.impatient.version()


def test_the_impatient_see_trouble_as_it_is(cluster: Cluster, api: Stub, told: list[Trouble]) -> None:
    """One request, one answer."""
    for trouble, code in ((status(503), 503), (RESET, 0), (status(429), 429)):
        api.answers(trouble, VERSION)
        api.seen.clear()
        with pytest.raises(ApiError) as caught:
            cluster.impatient.version()
        assert (caught.value.code, len(api.seen)) == (code, 1)
    assert told == []


def test_a_server_that_never_answered_is_given_up_soon(tmp_path: Path, clock: FakeClock) -> None:
    """A wrong address is not a restart."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        cluster = Cluster.connect(kubeconfig(tmp_path, address)).within(Deadline(600, clock))
        with pytest.raises(ApiError, match="Unreachable"):
            cluster.version()
    assert clock.now_ns / 1e9 <= 6


def test_a_change_whose_answer_was_lost_is_found_done(cluster: Cluster, api: Stub) -> None:
    """The conflict of the second try is with the first one: the object says what was asked."""
    stored = {**LEASE, "metadata": {"name": "l", "resourceVersion": "5", "uid": "u"}}
    api.answers(RESET, status(409, "Conflict"), Step(body=stored))
    assert cluster.update(LEASES, LEASE, "ns") == stored
    assert [seen.method for seen in api.seen] == ["PUT", "PUT", "GET"]


@pytest.mark.parametrize("holder", ["another", "me"])
def test_a_conflict_with_somebody_else_stays_one(cluster: Cluster, api: Stub, holder: str) -> None:
    """Another holder, or a conflict without any trouble before: never a success."""
    stored = {**LEASE, "spec": {"holderIdentity": holder, "renewTime": "now"}}
    first = (RESET,) if holder == "another" else ()
    api.answers(*first, status(409, "Conflict"), Step(body=stored))
    with pytest.raises(ConflictError):
        cluster.update(LEASES, LEASE, "ns")


def test_a_deletion_whose_answer_was_lost_is_done(cluster: Cluster, api: Stub) -> None:
    """Gone is what was asked for."""
    api.answers(RESET, status(404, "NotFound"))
    cluster.delete(MACHINES, "vm", "ns")
    assert len(api.seen) == 2


def test_apply_says_who_manages(cluster: Cluster, api: Stub) -> None:
    """Server-side apply, by name, as drainproof."""
    api.answers(THING)
    cluster.apply(MACHINES, {"metadata": {"name": "vm"}, "spec": {"a": 1}}, "ns")
    cluster.apply(NODES, {"metadata": {"name": "n"}}, force=True)
    body = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "vm"}, "spec": {"a": 1}}
    path = "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/vm?fieldManager=drainproof"
    assert api.seen[0] == Seen("PATCH", path, body, "secret", "application/apply-patch+yaml")
    assert api.seen[1].path == "/api/v1/nodes/n?fieldManager=drainproof&force=true"


def test_every_request_is_counted_and_repeats_apart(cluster: Cluster, api: Stub) -> None:
    """By verb, resource and code; views of a cluster share one count."""
    before = cluster.requests
    api.answers(status(503), RESET, THING)
    cluster.get(NODES, "n")
    evict(cluster.impatient)
    made = cluster.requests - before
    assert dict(made) == {
        RequestKind("get", "nodes", 503): 1, RequestKind("get", "nodes", 0, repeated=True): 1,
        RequestKind("get", "nodes", 200, repeated=True): 1, RequestKind("create", "pods/eviction", 200): 1,
    }
    assert (made.total, made.repeats) == (4, 2)
    assert made.by_resource() == {("get", "nodes"): 3, ("create", "pods/eviction"): 1}


def test_a_watch_is_not_repeated(cluster: Cluster, api: Stub) -> None:
    """Who watches has to know of every break."""
    for trouble, code in ((status(503), 503), (RESET, 0), (status(410, "Expired"), 410)):
        api.answers(trouble, Step(body=""))
        api.seen.clear()
        with pytest.raises(ApiError) as caught:
            list(cluster.watch(NODES, None, "1", 5))
        assert (caught.value.code, len(api.seen)) == (code, 1)


@pytest.mark.parametrize("step", [
    Step(body='{"type": "ADDED", "object": {}}\n{"type": "ADDED"'),
    Step(body='{"type": "ADDED", "object": {}}\n' * 9, cut=True),
    Step(body='{"type": "ADDED", "object": {}}\n{"type": "ERROR", "object": {"code": 410}}\n'),
], ids=["within an event", "cut", "expired"])
def test_a_watch_that_breaks_says_so(cluster: Cluster, api: Stub, step: Step) -> None:
    """After what it has told; only a watch that ends whole ends without an error."""
    api.answers(step)
    events = cluster.watch(NODES, None, "1", 5)
    assert next(events) == ("ADDED", {})
    with pytest.raises(ApiError):
        list(events)
    api.answers(Step(body='{"type": "ADDED", "object": {}}\n'))
    assert list(cluster.watch(NODES, None, "1", 5)) == [("ADDED", {})]
