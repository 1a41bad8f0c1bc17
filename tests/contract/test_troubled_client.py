"""The client of the harness before an API server in trouble: the same end as without it, or an error, never a lie."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drainproof import api as api_module
from drainproof.api import LEASES, PODS, Cluster, Object
from drainproof.errors import ApiError, ConflictError, EvictionRefusedError, NotFoundError
from drainproof.following import Following, Interest
from drainproof.tries import Trouble
from drainproof.wait import Deadline, wait
from lab.troubled.plan import KINDS
from tests.contract.server import ApiServer, pause
from tests.contract.troubled import troubled
from tests.unit.harness.fakes import FakeClock

QUICK = tuple(kind for kind in KINDS if kind not in ("delay", "outage", "watch-cut", "watch-expired"))
"""What takes no time: with pauses that take none either, a seed is over in seconds."""
NAMES = ("a", "b", "c")
STEPS = 60


@dataclass
class Ledger:
    """What leases there should be after each step, by name; None: there is none.

    Every step is one call of the client under trouble; whoever looks afterwards has none.
    """

    namespace: str
    client: Cluster
    direct: Cluster
    drawn: random.Random
    state: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(NAMES))
    errors: int = 0
    doubts: int = 0

    def step(self, number: int) -> None:
        name, value = self.drawn.choice(NAMES), f"holder-{number}"
        act, after, refusal = self.drawn.choice(self._acts())(name, value)
        before = self.state[name]
        try:
            act()
        except ApiError as error:
            if not (refusal and isinstance(error, refusal)):
                self._in_doubt(name, error, before, after)
        else:
            assert refusal is None, f"step {number}: success in place of {refusal}"
            self.state[name] = after
        assert self._seen() == self.state, f"step {number} of {name}"

    def _in_doubt(self, name: str, error: ApiError, before: str | None, after: str | None) -> None:
        """An error that is not the refusal it should be: nothing was done, or the error says that it may have been."""
        assert not isinstance(error, ConflictError | NotFoundError), str(error)
        found = self._holder(self.direct.find(LEASES, name, self.namespace))
        assert found in ((before, after) if error.may_be_done else (before,)), str(error)
        self.state[name] = found
        self.errors += 1
        self.doubts += error.may_be_done

    Act = tuple[Callable[[], object], str | None, type[ApiError] | None]

    def _acts(self) -> tuple[Callable[[str, str], Act], ...]:
        return (self._create, self._apply, self._apply, self._patch, self._update, self._contend, self._delete)

    def _create(self, name: str, value: str) -> Act:
        there = self.state[name]
        body = {"metadata": {"name": name}, "spec": {"holderIdentity": value}}
        act = lambda: self.client.create(LEASES, body, self.namespace)  # noqa: E731
        return act, there or value, ConflictError if there else None

    def _apply(self, name: str, value: str) -> Act:
        body = {"metadata": {"name": name}, "spec": {"holderIdentity": value}}
        return lambda: self.client.apply(LEASES, body, self.namespace, force=True), value, None

    def _patch(self, name: str, value: str) -> Act:
        there = self.state[name]
        act = lambda: self.client.patch(LEASES, name, {"spec": {"holderIdentity": value}}, self.namespace)  # noqa: E731
        return act, there and value, None if there else NotFoundError

    def _update(self, name: str, value: str) -> Act:
        lease = self.direct.find(LEASES, name, self.namespace)
        if lease is None:
            return self._delete(name, value)
        lease["spec"]["holderIdentity"] = value
        return lambda: self.client.update(LEASES, lease, self.namespace), value, None

    def _contend(self, name: str, value: str) -> Act:
        """Somebody changes the lease between reading and writing: he stays its holder."""
        lease = self.direct.find(LEASES, name, self.namespace)
        if lease is None:
            return self._create(name, value)
        other = f"not {value}"
        self.direct.patch(LEASES, name, {"spec": {"holderIdentity": other}}, self.namespace)
        lease["spec"]["holderIdentity"] = value
        self.state[name] = other
        return lambda: self.client.update(LEASES, lease, self.namespace), other, ConflictError

    def _delete(self, name: str, value: str) -> Act:
        return lambda: self.client.delete(LEASES, name, self.namespace), None, None

    def _seen(self) -> dict[str, str | None]:
        found = {item["metadata"]["name"]: self._holder(item) for item in self.direct.items(LEASES, self.namespace)}
        return {name: found.get(name) for name in NAMES}

    @staticmethod
    def _holder(lease: Object | None) -> str | None:
        return None if lease is None else str(lease["spec"]["holderIdentity"])


@pytest.fixture
def direct(api_server: ApiServer) -> Cluster:
    """Without trouble."""
    return Cluster.connect(api_server.config.kubeconfig)


def clockless(cluster: Cluster, told: list[Trouble]) -> Cluster:
    """The same client; its pauses take no time, and still use up its patience."""
    return cluster.within(Deadline(1e6, FakeClock())).telling(told.append)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_done_is_done_and_what_is_not_is_told(
    api_server: ApiServer, namespace: str, direct: Cluster, tmp_path: Path, seed: int
) -> None:
    """A third of all requests meet trouble; after every call the cluster is as the model without trouble says."""
    told: list[Trouble] = []
    with troubled(api_server.config, tmp_path, seed, 0.35, QUICK) as way:
        client = clockless(Cluster.connect(way.kubeconfig), told)
        before = client.requests
        ledger = Ledger(namespace, client, direct, random.Random(seed))
        for number in range(STEPS):
            ledger.step(number)
        made = client.requests - before
    assert len(way.kinds) >= 4
    assert sum(len(trouble.codes) for trouble in told) + ledger.errors >= len(way.log) // 2
    assert made.repeats == sum(trouble.tries - 1 for trouble in told)
    looks = sum(count for kind, count in made.items() if kind.verb == "get" and not kind.repeated)
    assert made.total == STEPS + looks + made.repeats


def test_only_nameless_creations_are_left_in_doubt(
    api_server: ApiServer, namespace: str, direct: Cluster, tmp_path: Path
) -> None:
    """With answers lost half of the time, everything that can be repeated comes to its end."""
    with troubled(api_server.config, tmp_path, 3, 0.5, ("reset-after", "cut", "error-after")) as way:
        client = clockless(Cluster.connect(way.kubeconfig), [])
        for number in range(30):
            body = {"metadata": {"name": f"lease-{number}"}, "spec": {"holderIdentity": str(number)}}
            make = client.create if number % 2 else client.apply
            assert make(LEASES, body, namespace)["spec"]["holderIdentity"] == str(number)
        assert len(direct.items(LEASES, namespace)) == 30
        doubts = 0
        for _ in range(30):
            try:
                client.create(LEASES, {"metadata": {"generateName": "made-"}, "spec": {}}, namespace)
            except ApiError as error:
                doubts += error.may_be_done
        assert doubts > 5
    assert len(direct.items(LEASES, namespace)) == 60


@pytest.mark.parametrize("seed", range(3))
def test_evictions_are_asked_until_they_are_answered(
    api_server: ApiServer, namespace: str, direct: Cluster, tmp_path: Path, seed: int
) -> None:
    """A refusal of the interceptor comes through as one; what was evicted is gone, or was gone already."""
    answers, spec = set(), {"containers": [{"name": "c", "image": "example/one"}]}
    with troubled(api_server.config, tmp_path, seed, 0.4, QUICK) as way:
        client = clockless(Cluster.connect(way.kubeconfig), [])
        for number in range(12):
            name = f"pod-{number}"
            direct.create(PODS, {"metadata": {"name": name}, "spec": spec}, namespace)
            try:
                client.evict(name, namespace)
                answers.add("evicted")
            except NotFoundError:
                answers.add("gone")
            except EvictionRefusedError:
                answers.add("busy")
                continue
            found = direct.find(PODS, name, namespace)
            assert found is None or "deletionTimestamp" in found["metadata"]
    assert "evicted" in answers


@pytest.fixture
def written(namespace: str, direct: Cluster) -> Callable[[int], None]:
    """Changes a lease of the namespace, without trouble."""

    def write(number: int) -> None:
        body = {"metadata": {"name": f"lease-{number % 5}"}, "spec": {"holderIdentity": str(number)}}
        if number % 7 == 6:
            direct.delete(LEASES, f"lease-{number % 5}", namespace)
        else:
            direct.apply(LEASES, body, namespace)

    return write


@pytest.mark.parametrize("seed", range(2))
def test_who_follows_a_watch_ends_with_what_is_there(
    api_server: ApiServer, namespace: str, direct: Cluster, tmp_path: Path, seed: int,
    written: Callable[[int], None],
) -> None:
    """Watches that are refused, expired and cut, lists that are lost: the copy is the cluster's in the end."""

    def there(cluster_items: list[Object]) -> set[tuple[str, str]]:
        return {(item["metadata"]["name"], item["metadata"]["resourceVersion"]) for item in cluster_items}

    kinds = ("busy", "error", "reset", "reset-after", "watch-cut", "watch-expired")
    with troubled(api_server.config, tmp_path, seed, 0.6, kinds) as way:
        follower = Following(Cluster.connect(way.kubeconfig), Interest(LEASES, namespace))
        follower.start()
        try:
            for number in range(40):
                written(number)
                pause(0.1)
            wait(
                "the copy is what is there", lambda: there(follower.objects()) ^ there(direct.items(LEASES, namespace)),
                until=lambda differing: not differing, deadline=Deadline(60),
            )
        finally:
            follower.stop()
    assert way.log


def test_an_api_server_that_goes_away_and_comes_back(api_server: ApiServer, tmp_path: Path) -> None:
    """For seconds nobody listens; every request is answered in the end, and what it took is told."""
    told: list[Trouble] = []
    with troubled(api_server.config, tmp_path, 1, 0.15, ("outage",)) as way:
        client = Cluster.connect(way.kubeconfig).telling(told.append)
        for _ in range(12):
            client.version()
    assert way.kinds == {"outage"}
    assert all(trouble.answered and set(trouble.codes) == {0} for trouble in told)
    assert max(trouble.seconds for trouble in told) > 0.5


def test_a_pod_uses_its_service_account(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kubeconfig; its token changes every hour, and the file with it."""
    config = api_server.config
    (tmp_path / "token").write_text("ran out")
    (tmp_path / "ca.crt").write_bytes(config.ca_file.read_bytes())
    monkeypatch.setattr(api_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(config.api_port))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    cluster = Cluster.connect()
    with pytest.raises(ApiError, match="401"):
        cluster.list(LEASES)
    (tmp_path / "token").write_text(api_server.token)
    assert cluster.list(LEASES)["kind"] == "LeaseList"
    monkeypatch.setenv("KUBECONFIG", str(config.kubeconfig))
    (tmp_path / "token").write_text("of another")
    assert Cluster.connect().list(LEASES)["kind"] == "LeaseList"


def test_a_server_that_cannot_be_trusted_is_not_asked_again(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's certificate is no trouble that passes."""
    path = tmp_path / "kubeconfig"
    path.write_text("".join(
        line for line in api_server.config.kubeconfig.read_text().splitlines(keepends=True)
        if "certificate-authority-data" not in line
    ))
    cluster = Cluster.connect(path)
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        cluster.version()
    assert caught.value.tries == 1
