"""A copy that is followed stays what the API server has: through its watches' ends, broken connections, and 410."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drainproof import following as module
from drainproof.api import INSTANCES, LEASES, PODS, Cluster, Object, Objects
from drainproof.followed import followed
from drainproof.following import Following, Interest, Listener
from drainproof.vm import VirtualMachine
from drainproof.wait import Deadline, wait
from lab.api.store import HISTORY
from tests.contract.breakable import Relay, relayed
from tests.contract.server import ApiServer


class Told(Listener):
    """Keeps what it is told, in words."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def listed(self, items: Objects, version: str, *, unchanged: bool) -> None:
        self.words.append("listed unchanged" if unchanged else "listed")

    def changed(self, event: str, item: Object) -> None:
        self.words.append(f"{event} {item['metadata']['name']}")

    def heard(self, version: str, how: str) -> None:
        self.words.append(how)

    def interrupted(self, reason: str) -> None:
        self.words.append("interrupted")

    def lost(self, reason: str) -> None:
        self.words.append("lost")


@pytest.fixture
def direct(api_server: ApiServer) -> Cluster:
    """The cluster as it is, past the relay."""
    return Cluster.connect(api_server.config.kubeconfig)


@pytest.fixture
def relay(api_server: ApiServer) -> Iterator[Relay]:
    with relayed(api_server.config.api_port) as found:
        yield found


@pytest.fixture
def cluster(api_server: ApiServer, relay: Relay, tmp_path: Path) -> Cluster:
    """The cluster as it is reached through the relay."""
    config = tmp_path / "kubeconfig"
    text = api_server.config.kubeconfig.read_text()
    config.write_text(text.replace(f":{api_server.config.api_port}", f":{relay.port}"))
    return Cluster.connect(config)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def copy(cluster: Cluster, namespace: str, told: Told) -> Iterator[Following]:
    """The leases of the test's namespace, followed through the relay."""
    one = Following(cluster, Interest(LEASES, namespace), told)
    one.start()
    assert one.await_current(10)
    yield one
    one.stop()


def make(cluster: Cluster, namespace: str, name: str, **spec: str) -> Object:
    return cluster.create(LEASES, {"metadata": {"name": name}, "spec": spec}, namespace)


def see(copy: Following, **expected: Any) -> None:
    """Wait until the copy has these objects, by name, with this spec, and no others."""
    wait(
        "the copy is what the server has",
        lambda: {item["metadata"]["name"]: item.get("spec") for item in copy.objects()},
        until=lambda seen: seen == expected, deadline=Deadline(20), wakened_by=copy.changes,
    )


def test_a_copy_follows_what_happens_and_asks_nothing_for_it(
    cluster: Cluster, direct: Cluster, copy: Following, namespace: str, told: Told
) -> None:
    """Made, changed, deleted: two requests for all of it, the list and the watch."""
    make(direct, namespace, "a", holderIdentity="1")
    make(direct, namespace, "b", holderIdentity="1")
    see(copy, a={"holderIdentity": "1"}, b={"holderIdentity": "1"})
    direct.patch(LEASES, "a", {"spec": {"holderIdentity": "2"}}, namespace)
    direct.delete(LEASES, "b", namespace)
    see(copy, a={"holderIdentity": "2"})
    assert told.words == ["listed", "ADDED a", "ADDED b", "MODIFIED a", "DELETED b"]
    assert cluster.requests.by_resource() == {("list", "leases"): 1, ("watch", "leases"): 1}


def test_broken_connections_lose_nothing(
    relay: Relay, direct: Cluster, copy: Following, namespace: str, told: Told
) -> None:
    """What happens while no connection can be had is told when there is one again, each change of it."""
    make(direct, namespace, "a", holderIdentity="1")
    see(copy, a={"holderIdentity": "1"})
    relay.taking = False
    relay.cut()
    wait("the break is noticed", lambda: copy.current, until=lambda current: not current, deadline=Deadline(10))
    make(direct, namespace, "b")
    direct.patch(LEASES, "a", {"spec": {"holderIdentity": "2"}}, namespace)
    direct.patch(LEASES, "a", {"spec": {"holderIdentity": "3"}}, namespace)
    direct.delete(LEASES, "b", namespace)
    relay.taking = True
    see(copy, a={"holderIdentity": "3"})
    assert told.words == [
        "listed", "ADDED a", "interrupted", "ADDED b", "MODIFIED a", "MODIFIED a", "DELETED b",
    ]
    assert copy.current


def test_what_the_server_has_forgotten_is_listed_anew(
    relay: Relay, direct: Cluster, copy: Following, namespace: str, told: Told
) -> None:
    """While it was cut off more has happened than the server remembers: the copy is right again, the loss is told."""
    make(direct, namespace, "a")
    see(copy, a={})
    relay.taking = False
    relay.cut()
    direct.delete(LEASES, "a", namespace)
    make(direct, namespace, "b", holderIdentity="0")
    for number in range(HISTORY + 5):
        direct.patch(LEASES, "b", {"spec": {"holderIdentity": str(number + 1)}}, namespace)
    relay.taking = True
    see(copy, b={"holderIdentity": str(HISTORY + 5)})
    assert told.words[2:] == ["interrupted", "lost", "listed"]


def test_a_proof_is_had_within_seconds_and_the_end_has_one(copy: Following, told: Told) -> None:
    """From the bookmark that a server sends before a short watch ends."""
    assert copy.prove()
    copy.stop(prove=True)
    assert told.words == ["listed", "bookmark", "bookmark"]


def test_a_watch_that_ends_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, direct: Cluster, namespace: str, told: Told
) -> None:
    """Its end in time is heard as such, and what is told before and after it is one sequence."""
    monkeypatch.setattr(module, "WINDOW_SECONDS", 1)
    one = Following(cluster, Interest(LEASES, namespace), told)
    one.start()
    assert one.await_current(10)
    for number, name in enumerate("abc", 1):
        make(direct, namespace, name)
        wait(
            "an end", lambda: told.words.count("end"), until=lambda ends, number=number: ends >= number,  # type: ignore[misc]
            deadline=Deadline(10),
        )
    one.stop()
    assert [word for word in told.words if word != "end"] == ["listed", "ADDED a", "ADDED b", "ADDED c"]


def test_stopping_does_not_wait_for_the_watch_to_end(direct: Cluster, copy: Following, namespace: str) -> None:
    """It would last for minutes; its thread is gone."""
    make(direct, namespace, "a")
    see(copy, a={})
    copy.stop()
    assert not copy._thread.is_alive()


def test_only_what_was_asked_for_is_followed(
    cluster: Cluster, direct: Cluster, namespace: str, node: str
) -> None:
    """The pods of one node, in all namespaces: one that is bound to it appears."""
    body = {"spec": {"containers": [{"name": "c", "image": "example/c"}]}}
    with followed(cluster, Interest(PODS, fields=f"spec.nodeName={node}")) as copies:
        assert not copies.follows(PODS, namespace)
    one = Following(cluster, Interest(PODS, fields=f"spec.nodeName={node}"))
    one.start()
    try:
        for name, spec in (("mine", {"nodeName": node}), ("other", {"nodeName": "node-elsewhere"})):
            direct.create(PODS, {"metadata": {"name": name}, "spec": body["spec"] | spec}, namespace)
        wait(
            "the pod", lambda: [item["metadata"]["name"] for item in one.objects()],
            until=lambda seen: seen == ["mine"], deadline=Deadline(10), wakened_by=one.changes,
        )
    finally:
        one.stop()


def test_what_is_followed_is_read_without_asking_until_it_is_cut_off(
    relay: Relay, cluster: Cluster, direct: Cluster, namespace: str
) -> None:
    """Then the cluster is asked, which here cannot be reached: no old state is given for the present one."""
    make(direct, namespace, "a")
    with followed(cluster, Interest(LEASES, namespace)) as copies:
        before = cluster.requests
        found = copies.find(LEASES, "a", namespace)
        assert found is not None
        assert copies.find(LEASES, "b", namespace) is None
        assert [item["metadata"]["name"] for item in copies.told(LEASES, namespace)] == ["a"]
        assert copies.find(PODS, "p", namespace) is None
        asked = {what for what in (cluster.requests - before).by_resource() if what[0] != "watch"}
        assert asked == {("get", "pods")}
        relay.taking = False
        relay.cut()
        wait(
            "the copy is not read any more", lambda: copies.told(LEASES, namespace), until=lambda seen: not seen,
            deadline=Deadline(10),
        )
        relay.taking = True
        found = copies.find(LEASES, "a", namespace)
        assert found is not None


def test_waiting_for_a_machine_that_is_followed_asks_nothing(
    cluster: Cluster, direct: Cluster, namespace: str
) -> None:
    """However long it takes to become Ready; the wait ends when the watch tells so."""
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    with followed(cluster, Interest(INSTANCES, namespace)) as copies:
        before = cluster.requests
        direct.create(INSTANCES, {"metadata": {"name": "vm"}, "spec": {"domain": {"devices": {}}}}, namespace)
        becomes = threading.Timer(1.5, lambda: direct.patch(INSTANCES, "vm", ready, namespace))
        becomes.start()
        try:
            assert VirtualMachine(cluster, "vm", namespace).wait_ready(Deadline(20), copies).ready
        finally:
            becomes.join()
        assert [what for what in (cluster.requests - before).by_resource() if what[0] != "watch"] == []
