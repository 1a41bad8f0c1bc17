"""Claims on nodes: all or nothing, by optimistic concurrency, taken over when stale, given back, journalled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from drainproof.allowed import DISRUPTABLE, Allowed
from drainproof.api import LEASES, NODES, Cluster, Object, Resource
from drainproof.claiming import claimed
from drainproof.errors import ApiError, ConflictError, WaitTimeoutError
from drainproof.journal import Journal
from drainproof.leases import (
    DURATION_SECONDS,
    LOOK_SECONDS,
    RENEWALS,
    ClaimLostError,
    Looks,
    NodeClaims,
    usable_nodes,
)
from drainproof.wait import Deadline
from tests.unit.harness.fakes import FakeClock

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class LeaseCluster:
    """Nodes and leases as an API server keeps them: names are unique, a stale resourceVersion is refused."""

    nodes: tuple[str, ...] = ("node-a", "node-b", "node-c", "node-d")
    without_agent: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    away: int = 0
    """How many reads get no answer yet."""
    leases: dict[str, Object] = field(default_factory=dict)
    version: int = 0
    control_namespace: str = "default"
    before_create: Callable[[str], None] = lambda name: None
    """Called before a lease is created: where a rival comes in between."""

    def items(self, resource: Resource, namespace: str | None = None) -> list[Object]:
        if self.away:
            self.away -= 1
            raise ApiError("GET leases", 0, "Unreachable", "closed")
        if resource == NODES:
            ready = {"conditions": [{"type": "Ready", "status": "True"}]}
            marks = {"kubevirt.io/schedulable": "true", **self.labels}
            return [{"metadata": {"name": name, "labels": marks if name not in self.without_agent else {}},
                     "spec": {}, "status": ready} for name in self.nodes]
        self._check(resource, namespace)
        return copy.deepcopy(list(self.leases.values()))

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        self._check(resource, namespace)
        return copy.deepcopy(self.leases.get(name))

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        self._check(resource, namespace)
        name = body["metadata"]["name"]
        self.before_create(name)
        if name in self.leases:
            raise ConflictError("create", 409, "AlreadyExists", name)
        return self._store(body)

    def update(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        self._check(resource, namespace)
        stored = self.leases[body["metadata"]["name"]]
        if stored["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ConflictError("update", 409, "Conflict", body["metadata"]["name"])
        return self._store(body)

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self._check(resource, namespace)
        self.leases.pop(name, None)

    def holders(self) -> dict[str, str]:
        return {name[-1]: lease["spec"]["holderIdentity"] for name, lease in sorted(self.leases.items())}

    def _store(self, body: Object) -> Object:
        self.version += 1
        kept = copy.deepcopy(body)
        kept["metadata"]["resourceVersion"] = str(self.version)
        self.leases[body["metadata"]["name"]] = kept
        return copy.deepcopy(kept)

    def _check(self, resource: Resource, namespace: str | None) -> None:
        assert (resource, namespace) == (LEASES, self.control_namespace)


@dataclass
class WallClock:
    """A wall clock that somebody moves."""

    moment: datetime = NOW

    def __call__(self) -> datetime:
        return self.moment


def claims_of(
    cluster: LeaseCluster, holder: str, directory: Path, clock: Callable[[], datetime] = lambda: NOW,
    steady: FakeClock | None = None,
) -> NodeClaims:
    journal, looks = Journal.of(directory / holder), Looks(steady or FakeClock())
    return NodeClaims(cast(Cluster, cluster), holder, journal, clock, allowed=Allowed(cluster.nodes), looks=looks)


def waited(claims: NodeClaims, seconds: float) -> None:
    """Look for a node in vain for so long, as often as those who wait do."""
    for _ in range(round(seconds / LOOK_SECONDS)):
        assert claims.take(1) == ()
        claims.looks.clock.sleep(LOOK_SECONDS)


def test_nodes_are_claimed_by_name_and_given_back(tmp_path: Path) -> None:
    """A second claimant gets the next ones, a third none; what is left of the journal is what is held."""
    cluster = LeaseCluster()
    first, second, third = (claims_of(cluster, name, tmp_path) for name in ("first", "second", "third"))
    assert first.take(2) == ("node-a", "node-b")
    assert second.take(2) == ("node-c", "node-d")
    assert third.take(1) == ()
    spec = cluster.leases["drainproof-node-node-a"]["spec"]
    assert spec["leaseDurationSeconds"] == DURATION_SECONDS
    assert spec["renewTime"] == "2026-01-01T12:00:00.000000Z"
    assert [path.rpartition("/")[2] for path in first.journal.created] == [
        "drainproof-node-node-a", "drainproof-node-node-b",
    ]
    first.release(("node-a", "node-b"))
    assert cluster.holders() == {"c": "second", "d": "second"}
    assert first.journal.created == []


def test_too_few_free_nodes_claim_none(tmp_path: Path) -> None:
    """All or nothing: a lone free node is left to whoever needs no more."""
    cluster = LeaseCluster()
    claims_of(cluster, "first", tmp_path).take(3)
    assert claims_of(cluster, "second", tmp_path).take(2) == ()
    assert cluster.holders() == dict.fromkeys("abc", "first")


def test_of_two_who_race_one_gets_all(tmp_path: Path) -> None:
    """A rival takes the third node in between: what was taken is given back, and the rival is not disturbed."""
    cluster = LeaseCluster()
    rival = claims_of(cluster, "rival", tmp_path)

    def cut_in(name: str) -> None:
        if name == "drainproof-node-node-c":
            cluster.before_create = lambda name: None
            assert rival.take(2) == ("node-c", "node-d")

    cluster.before_create = cut_in
    mine = claims_of(cluster, "mine", tmp_path)
    assert mine.take(4) == ()
    assert cluster.holders() == {"c": "rival", "d": "rival"}
    assert mine.journal.created == []
    assert mine.take(2) == ("node-a", "node-b")


def test_a_stale_lease_is_taken_over_once(tmp_path: Path) -> None:
    """A holder that was not seen to renew for its duration is dead; of two that take over, the version refuses one."""
    cluster = LeaseCluster(nodes=("node-a",))
    claims_of(cluster, "dead", tmp_path).take(1)
    mine = claims_of(cluster, "mine", tmp_path)
    waited(mine, DURATION_SECONDS + LOOK_SECONDS)
    stale = cluster.find(LEASES, "drainproof-node-node-a", "default")
    assert mine.take(1) == ("node-a",)
    assert cluster.holders() == {"a": "mine"}
    with pytest.raises(ConflictError):
        cluster.update(LEASES, cast(Any, stale), "default")


@pytest.mark.parametrize("off", [-3600, 3600])
def test_wall_clocks_that_differ_take_no_node_from_who_lives(tmp_path: Path, off: int) -> None:
    """An hour ahead, every lease of others seems long over; it is looked at, not reckoned with."""
    cluster, clock = LeaseCluster(nodes=("node-a",)), WallClock()
    mine = claims_of(cluster, "mine", tmp_path, clock)
    other = claims_of(cluster, "other", tmp_path, lambda: clock.moment + timedelta(seconds=off))
    mine.take(1)
    for _ in range(2 * RENEWALS):
        waited(other, DURATION_SECONDS / RENEWALS)
        clock.moment += timedelta(seconds=DURATION_SECONDS / RENEWALS)
        mine.renew("node-a")
    assert cluster.holders() == {"a": "mine"}
    waited(other, DURATION_SECONDS + LOOK_SECONDS)
    assert other.take(1) == ("node-a",)


def test_time_in_which_nobody_could_look_is_no_proof_of_a_death(tmp_path: Path) -> None:
    """The API was away for longer than the lease lasts: its holder could not renew it either."""
    cluster = LeaseCluster(nodes=("node-a",))
    claims_of(cluster, "lives", tmp_path).take(1)
    mine = claims_of(cluster, "mine", tmp_path)
    assert mine.take(1) == ()
    mine.looks.clock.sleep(3 * DURATION_SECONDS)
    waited(mine, DURATION_SECONDS)
    assert cluster.holders() == {"a": "lives"}


def test_renewing_keeps_a_claim_and_finds_out_when_it_is_lost(tmp_path: Path) -> None:
    """A renewed claim is not stale; one that somebody has removed or taken over is lost, and left to him."""
    cluster, clock = LeaseCluster(nodes=("node-a",)), WallClock()
    mine, other = claims_of(cluster, "mine", tmp_path, clock), claims_of(cluster, "other", tmp_path, clock)
    mine.take(1)
    waited(other, DURATION_SECONDS - 1)
    clock.moment += timedelta(seconds=DURATION_SECONDS - 1)
    mine.renew("node-a")
    waited(other, DURATION_SECONDS + LOOK_SECONDS)
    assert other.take(1) == ("node-a",)
    with pytest.raises(ClaimLostError, match="by which mine claimed node node-a for 60 s at a time, is held by other"):
        mine.renew("node-a")
    mine.release(("node-a",))
    assert cluster.holders() == {"a": "other"}
    cluster.leases.clear()
    with pytest.raises(ClaimLostError, match="was removed by somebody"):
        other.renew("node-a")
    assert cluster.holders() == {}


def test_a_claim_that_changes_hands_while_it_is_renewed_is_lost(tmp_path: Path) -> None:
    """Between the look and the renewal; one that somebody has only annotated is renewed the next time."""
    cluster = LeaseCluster(nodes=("node-a",))
    mine = claims_of(cluster, "mine", tmp_path)
    mine.take(1)
    seen, name = cluster.find, "drainproof-node-node-a"

    def find_then(change: Callable[[Object], None]) -> Callable[..., Object | None]:
        def find(*asked: Any) -> Object | None:
            found, cluster.find = seen(*asked), seen  # type: ignore[method-assign]
            changed = copy.deepcopy(cluster.leases[name])
            change(changed)
            cluster.update(LEASES, changed, "default")
            return found

        return find

    cluster.find = find_then(lambda lease: lease["metadata"].update(annotations={"a": "b"}))  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        mine.renew("node-a")
    mine.renew("node-a")
    cluster.find = find_then(lambda lease: lease["spec"].update(holderIdentity="other"))  # type: ignore[method-assign]
    with pytest.raises(ClaimLostError, match="is held by other now"):
        mine.renew("node-a")
    assert cluster.holders() == {"a": "other"}


def test_waiting_tells_for_whom_and_ends(tmp_path: Path) -> None:
    """Nodes of others are waited for; after the time for it the error says who holds them."""
    cluster, clock = LeaseCluster(nodes=("node-a", "node-b")), FakeClock()
    claims_of(cluster, "run-1/drain", tmp_path / "other").take(1)
    told: list[str] = []
    waiting = claimed(claims_of(cluster, "mine", tmp_path), 2, Deadline(10, clock), told.append)
    with pytest.raises(WaitTimeoutError, match="node-a by run-1/drain"), waiting:
        pytest.fail("there were not enough nodes")
    assert told == ["waiting for 2 free nodes: node-a by run-1/drain"]
    assert "b" not in cluster.holders()


def test_claims_last_as_long_as_the_block(tmp_path: Path) -> None:
    """Inside they are held, afterwards they are free, also when the block fails."""
    cluster = LeaseCluster()
    mine = claims_of(cluster, "mine", tmp_path)
    failing = pytest.raises(ZeroDivisionError)
    with failing, claimed(mine, 4, Deadline(1, FakeClock())) as nodes:
        held = set(cluster.holders().values())
        len(nodes) / 0
    assert (held, cluster.leases) == ({"mine"}, {})


@dataclass(kw_only=True)
class Waiting(FakeClock):
    """Time in which somebody else looks for nodes, as often as those who wait do."""

    other: NodeClaims

    def sleep(self, seconds: float) -> None:
        """Look once in each of the pauses that fit in."""
        for _ in range(int(seconds / LOOK_SECONDS)):
            self.other.take(4)
        super().sleep(seconds)


def test_who_waits_is_next(tmp_path: Path) -> None:
    """Who has many cases in a row does not keep the nodes from one to the next."""
    cluster = LeaseCluster()
    other = claims_of(cluster, "other", tmp_path / "other")
    with claimed(claims_of(cluster, "mine", tmp_path), 4, Deadline(1, Waiting(other=other))):
        assert other.take(4) == ()
    assert set(cluster.holders().values()) == {"other"}


def test_a_node_without_kubevirts_agent_is_not_claimed(tmp_path: Path) -> None:
    """Schedulable for pods, it takes no machine."""
    cluster = LeaseCluster(without_agent=("node-b",))
    assert claims_of(cluster, "mine", tmp_path).take(3) == ("node-a", "node-c", "node-d")
    assert usable_nodes(cast(Cluster, cluster)) == ["node-a", "node-c", "node-d"]


def test_who_waits_outlives_an_api_that_is_disturbed(tmp_path: Path) -> None:
    """The case that holds the nodes may be the one that disturbs it."""
    cluster, clock, told = LeaseCluster(), FakeClock(), list[str]()
    cluster.away = 3
    with claimed(claims_of(cluster, "mine", tmp_path), 4, Deadline(10, clock), told.append) as nodes:
        assert len(nodes) == 4
    assert told == ["waiting for 4 free nodes: the API does not answer (0 Unreachable)"]
    cluster.away = 99
    with pytest.raises(WaitTimeoutError, match="the API does not answer"):
        claimed(claims_of(cluster, "mine", tmp_path), 4, Deadline(10, FakeClock()), told.append).__enter__()


def test_only_nodes_that_may_be_disturbed_are_claimed(tmp_path: Path) -> None:
    """Free, schedulable and not allowed is not claimed; and neither is one that has lost its label since."""
    cluster = LeaseCluster()
    mine = replace(claims_of(cluster, "mine", tmp_path), allowed=Allowed(("node-b", "node-d")))
    assert mine.take(3) == ()
    assert mine.take(2) == ("node-b", "node-d")
    assert usable_nodes(cast(Cluster, cluster), mine.allowed) == ["node-b", "node-d"]
    mine.release(("node-b", "node-d"))
    labelled = replace(mine, allowed=Allowed(("node-b", "node-d"), by_label=True))
    assert labelled.take(1) == ()
    cluster.labels = {DISRUPTABLE: "true"}
    assert labelled.take(2) == ("node-b", "node-d")


def test_a_node_with_machines_of_others_is_left_to_them(tmp_path: Path) -> None:
    """Others are claimed in its place; without enough of those none is, and the reason is told."""
    cluster, told = LeaseCluster(), list[str]()
    mine = replace(claims_of(cluster, "mine", tmp_path), busy=lambda: {"node-a"})
    assert mine.take(3) == ("node-b", "node-c", "node-d")
    mine.release(("node-b", "node-c", "node-d"))
    with pytest.raises(WaitTimeoutError, match="node-a by machines of others"):
        claimed(mine, 4, Deadline(1, FakeClock()), told.append).__enter__()


def test_what_disturbs_everybody_waits_until_nobody_holds_a_node(tmp_path: Path) -> None:
    """Not even one that may not be disturbed."""
    cluster = LeaseCluster()
    other = claims_of(cluster, "other", tmp_path)
    assert other.take(1) == ("node-a",)
    mine = replace(claims_of(cluster, "mine", tmp_path), allowed=Allowed(("node-c",)), alone=True)
    assert mine.take(1) == ()
    other.release(("node-a",))
    assert mine.take(1) == ("node-c",)


def test_claims_are_kept_where_the_target_says_and_last_as_long_as_the_profile_says(tmp_path: Path) -> None:
    cluster = LeaseCluster(control_namespace="drainproof")
    mine = replace(claims_of(cluster, "mine", tmp_path), namespace="drainproof", seconds=7.5)
    mine.take(1)
    assert cluster.leases["drainproof-node-node-a"]["spec"]["leaseDurationSeconds"] == 8
    assert mine.journal.created == ["/apis/coordination.k8s.io/v1/namespaces/drainproof/leases/drainproof-node-node-a"]
