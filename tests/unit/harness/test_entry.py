"""The way in: what is asked of the cluster for each, where clients then go, what is claimed of their connections."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drainproof.api import ROUTES, SERVICES, Cluster
from drainproof.entry import EntryFacts, NetworkFacts, told
from drainproof.errors import CannotRunError
from drainproof.settings import Profile
from drainproof.target import Target
from drainproof.wait import Deadline
from fixtures.entry import Front, address_of, fitting, front_objects, front_of, machine_objects
from fixtures.observers import ALWAYS
from fixtures.portal import PortalPlan, machine_spec, member_script
from load.plan import Machine, Plan
from load.plan import Portal as PlannedPortal
from load.probe import streams_of, targets_of
from load.stopwatch_streams import views_of

PLAN = PortalPlan(
    namespace="ns", names=("portal-0", "portal-1"), addresses=("10.0.0.1", "10.0.0.2"), image="img",
    storage_class="rwx", memory="512Mi", data_disk="1Gi",
)
MASQUERADE = NetworkFacts(kind="masquerade")
LOCALNET = NetworkFacts(kind="multus", name="vm/localnet", gateway="10.0.0.254")


class Answers(Cluster):
    """A cluster that holds one object of each kind."""

    def __init__(self, **objects: dict[str, Any]) -> None:
        self._objects = objects

    def get(self, resource: Any, name: str, namespace: str | None = None) -> dict[str, Any]:
        assert (name, namespace) == ("portal", "ns")
        return self._objects[resource.plural]


ROUTE = {"status": {"ingress": [
    {"host": "refused.example", "conditions": [{"type": "Admitted", "status": "False"}]},
    {"host": "portal.example", "conditions": [{"type": "Admitted", "status": "True"}]},
]}}


@pytest.mark.parametrize(
    ("entry", "kinds", "cluster", "front"),
    [
        (EntryFacts(), [SERVICES],
         Answers(services={"status": {"loadBalancer": {"ingress": [{"ip": "10.9.0.1"}]}}}), Front("10.9.0.1")),
        (EntryFacts(kind="node-port", address="10.8.0.1"), [SERVICES],
         Answers(services={"spec": {"ports": [{"nodePort": 30007}]}}), Front("10.8.0.1", 30007)),
        (EntryFacts(kind="route", address="10.7.0.1"), [SERVICES, ROUTES],
         Answers(routes=ROUTE), Front("10.7.0.1", 80, "portal.example")),
        (EntryFacts(kind="address", address="10.6.0.1", port=8080), [], Answers(), Front("10.6.0.1", 8080)),
    ],
)
def test_users_enter_where_the_facts_say(entry: EntryFacts, kinds: list[Any], cluster: Cluster, front: Front) -> None:
    """Each way in asks for its own objects and for no others, and leads to the address that the cluster tells."""
    assert [resource for resource, _ in front_objects(entry, {"app": "portal"})] == kinds
    assert front_of(cluster, entry, "ns", Deadline(1)) == front


def test_a_route_that_no_router_admits_is_waited_for() -> None:
    """What a router has refused leads nowhere; the error tells what it said."""
    refused = {"status": {"ingress": ROUTE["status"]["ingress"][:1]}}
    with pytest.raises(Exception, match=r"route portal is admitted.*refused\.example"):
        front_of(Answers(routes=refused), EntryFacts(kind="route"), "ns", Deadline(0.01))


def test_a_host_without_an_address_is_named() -> None:
    assert address_of("127.0.0.1") == "127.0.0.1"
    with pytest.raises(CannotRunError, match="nowhere.invalid"):
        address_of("nowhere.invalid")


@pytest.mark.parametrize(
    "facts",
    [{"kind": "node-port"}, {"kind": "address"}, {"kind": "load-balancer", "host": "x.example"}],
)
def test_an_entry_that_leads_nowhere_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EntryFacts(**facts)


@pytest.mark.parametrize("facts", [{"kind": "multus"}, {"kind": "masquerade", "name": "vm/localnet"}])
def test_only_a_network_of_multus_has_a_name(facts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NetworkFacts(**facts)


@pytest.mark.parametrize(
    ("network", "source", "interface", "annotations"),
    [
        (NetworkFacts(), {"pod": {}}, {"bridge": {}},
         {"kubevirt.io/allow-pod-bridge-network-live-migration", "network.kubevirt.io/addresses"}),
        (MASQUERADE, {"pod": {}}, {"masquerade": {}}, set()),
        (NetworkFacts(kind="l2bridge"), {"pod": {}}, {"binding": {"name": "l2bridge"}},
         {"network.kubevirt.io/addresses"}),
        (LOCALNET, {"multus": {"networkName": "vm/localnet"}}, {"bridge": {}}, set()),
    ],
)
def test_a_machine_is_connected_as_its_network_wants(
    network: NetworkFacts, source: dict[str, Any], interface: dict[str, Any], annotations: set[str]
) -> None:
    template = machine_spec(replace(PLAN, network=network), "portal-0", "10.0.0.1").manifest()["spec"]["template"]
    assert template["spec"]["networks"] == [{"name": "default", **source}]
    assert template["spec"]["domain"]["devices"]["interfaces"] == [{"name": "default", **interface}]
    assert set(template["metadata"]["annotations"]) == annotations


def test_guests_take_their_own_address_only_where_nobody_hands_them_out() -> None:
    own = member_script(replace(PLAN, network=LOCALNET), "10.0.0.1", "pw", first=True)
    assert "ip address replace 10.0.0.1/24 dev eth0\nip route replace default via 10.0.0.254\n" in own
    assert "ip address" not in member_script(PLAN, "10.0.0.1", "pw", first=True)


def test_a_machine_s_own_service_selects_it_alone() -> None:
    """Its label is on the template, so that the launcher pod bears it; a member is reached before it is ready."""
    (_, service), _ = machine_objects(PLAN.names)
    labels = machine_spec(PLAN, "portal-0", "10.0.0.1").manifest()["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert {"name": "udp-7007", "port": 7007, "targetPort": 7007, "protocol": "UDP"} in service["spec"]["ports"]


def test_behind_masquerade_nothing_is_claimed_of_kept_connections() -> None:
    """They end by design: clients keep none, and the record says what is not proved."""
    target = Target(name="t", guest_image="i", network=MASQUERADE, storage_classes={"shared": "rwx"})
    profile = fitting(Profile(name="p"), target.network)
    assert PortalPlan.of(profile, target, "r", ALWAYS).addresses == ()
    plan = Plan(
        case_dir=Path(), run_id="r", load=profile.load,
        portal=PlannedPortal(vms=(Machine(name="a", address="10.0.0.1"),), virtual_ip="10.0.0.9"),
    )
    kinds = {stream.kind for view in views_of(plan) for stream in (*view.rates, *view.heartbeats)}
    assert kinds == {"tcp-new", "control"}
    assert profile.load.vantages == 0
    assert list(streams_of(plan)) == ["http-new/a", "http-new/vip"]
    assert "ends established connections" in told(MASQUERADE, EntryFacts())["continuity"]
    assert fitting(Profile(name="p"), NetworkFacts()) == Profile(name="p")


def test_requests_go_to_the_front_s_port_and_name_its_host() -> None:
    """A router tells services apart by the host; a machine's own web server is asked as ever."""
    portal = PlannedPortal(
        vms=(Machine(name="a", address="10.0.0.1"),), virtual_ip="10.0.0.9", virtual_port=30007,
        virtual_host="portal.example",
    )
    machine, front = targets_of(Plan(case_dir=Path(), run_id="r", portal=portal))[::2]
    assert (machine.peer, front.peer) == (("10.0.0.1", 80), ("10.0.0.9", 30007))
    assert b"Host: portal.example\r\n" in front.request
    assert b"Host: 10.0.0.1\r\n" in machine.request
    assert portal.front == "http://10.0.0.9:30007"
