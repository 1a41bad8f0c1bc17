"""Services: addresses, endpoints, balancing rules, scrape targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.client import Object
from lab.config import LabConfig
from lab.controllers import balancer, endpoints, node_ports, services
from lab.kinds import ENDPOINT_SLICE, POD, SERVICE
from lab.monitoring import discovery, prometheus
from tests.unit.lab.controllers_fake import FakeApi, reconcile, running_pod

WHERE = "demo/portal"


def service(name: str = "portal", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": ports, **spec}}


def pod(name: str, ip: str, ready: bool = True, **meta: Any) -> Object:
    owner = {"metadata": {"name": "vm", "uid": "u1"}}
    item = running_pod(name, owner, "node-a", app="portal")
    item["metadata"].update(meta)
    item["status"].update(podIP=ip, conditions=[{"type": "Ready", "status": str(ready)}])
    return item


def ip_of(api: FakeApi, where: str) -> str:
    return services.virtual_address(api.there(SERVICE, where))


def test_addresses_are_allocated_once_and_differ() -> None:
    api = FakeApi()
    for name in ("portal", "shop"):
        api.given(SERVICE, service(name))
        reconcile(api, services.reconcile, f"demo/{name}", times=2)
    assert [ip_of(api, f"demo/{name}") for name in ("portal", "shop")] == ["10.77.200.10", "10.77.200.11"]
    assert api.there(SERVICE, WHERE)["spec"]["clusterIP"] == "10.96.0.10"
    assert api.reasons(SERVICE) == ["IPAllocated", "IPAllocated"]


def test_a_wanted_virtual_address_is_honoured() -> None:
    api = FakeApi()
    api.given(SERVICE, service(loadBalancerIP="10.77.200.77"))
    reconcile(api, services.reconcile, WHERE)
    assert ip_of(api, WHERE) == "10.77.200.77"


@pytest.mark.parametrize("wanted", ["10.77.1.5", "nonsense", "10.77.200.10"])
def test_a_wanted_address_out_of_range_or_taken_is_refused_by_name(wanted: str) -> None:
    api = FakeApi()
    api.given(SERVICE, service("first"))
    reconcile(api, services.reconcile, "demo/first")
    api.given(SERVICE, service(loadBalancerIP=wanted))
    reconcile(api, services.reconcile, WHERE)
    assert ip_of(api, WHERE) == ""
    assert wanted in api.events[-1][2]


def test_a_headless_or_external_service_gets_no_cluster_address() -> None:
    api = FakeApi()
    api.given(SERVICE, service(type="ExternalName"))
    api.given(SERVICE, service("headless", type="ClusterIP", clusterIP="None"))
    for where in (WHERE, "demo/headless"):
        reconcile(api, services.reconcile, where)
    assert "clusterIP" not in api.there(SERVICE, WHERE)["spec"]
    assert api.there(SERVICE, "demo/headless")["spec"]["clusterIP"] == "None"


def test_the_slice_lists_the_selected_pods_with_their_state() -> None:
    api = FakeApi()
    api.given(SERVICE, service(selector={"app": "portal"}))
    api.given(POD, pod("a", "10.77.1.10"))
    api.given(POD, pod("b", "10.77.1.11", ready=False))
    api.given(POD, pod("c", "10.77.1.12", deletionTimestamp="2026-01-01T00:00:00Z"))
    ended = pod("d", "10.77.1.13")
    ended["status"]["phase"] = "Succeeded"
    api.given(POD, ended)
    reconcile(api, endpoints.reconcile, WHERE, times=2)
    (made,) = api.all(ENDPOINT_SLICE)
    shown = {entry["addresses"][0]: entry["conditions"] for entry in made["endpoints"]}
    assert shown == {
        "10.77.1.10": {"ready": True, "serving": True, "terminating": False},
        "10.77.1.11": {"ready": False, "serving": False, "terminating": False},
        "10.77.1.12": {"ready": False, "serving": True, "terminating": True},
    }
    assert made["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    assert made["metadata"]["labels"]["kubernetes.io/service-name"] == "portal"
    assert made["endpoints"][0]["targetRef"]["name"] == "a"
    assert made["endpoints"][0]["nodeName"] == "node-a"


def test_a_service_without_a_selector_is_left_alone() -> None:
    api = FakeApi()
    api.given(SERVICE, service())
    reconcile(api, endpoints.reconcile, WHERE)
    assert api.all(ENDPOINT_SLICE) == []


def balanced(*addresses: str, ready: bool = True) -> tuple[balancer.Front, ...]:
    shown = service()
    shown["metadata"]["namespace"] = "demo"
    shown["status"] = {"loadBalancer": {"ingress": [{"ip": "10.77.200.10"}]}}
    entry = {
        "metadata": {"namespace": "demo", "labels": {"kubernetes.io/service-name": "portal"}},
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
        "ports": [{"name": "http", "port": 8080}],
    }
    return balancer.fronts([shown], [entry])


def test_both_pods_of_a_migrating_guest_are_one_backend() -> None:
    (front,) = balanced("10.77.1.11", "10.77.1.10", "10.77.1.11")
    assert front.backends == (("10.77.1.10", 8080), ("10.77.1.11", 8080))


def test_the_rules_balance_in_turn_and_replace_the_table_at_once() -> None:
    script = balancer.render(balanced("10.77.1.10", "10.77.1.11"))
    assert script.startswith("add table ip drainproof\nflush table ip drainproof\n")
    assert (
        "ip daddr 10.77.200.10 tcp dport 80 dnat to numgen inc mod 2 map "
        "{ 0 : 10.77.1.10 . 8080, 1 : 10.77.1.11 . 8080 }"
    ) in script
    assert "ct status dnat masquerade" in script


def test_one_backend_needs_no_map_and_none_no_rule() -> None:
    assert "dnat to 10.77.1.10:8080" in balancer.render(balanced("10.77.1.10"))
    assert "dport" not in balancer.render(balanced("10.77.1.10", ready=False))


def test_who_has_an_address_of_his_own_is_known_by_it() -> None:
    """A member that calls another through the balancer does not look like the balancer; one of several does."""
    script = balancer.render([*balanced("10.77.1.10"), *balanced("10.77.1.11", "10.77.1.12")])
    assert "ct status dnat snat to ip saddr map { 10.77.1.10 : 10.77.200.10 }\n    ct status dnat masquerade" in script
    assert "snat" not in balancer.render(balanced("10.77.1.11", "10.77.1.12"))


def scraped(marks: dict[str, str], ports: list[Object], *endpoint: Object) -> list[Object]:
    entry = {
        "metadata": {"name": "s", "namespace": "demo", "annotations": marks,
                     "labels": {"kubernetes.io/service-name": "portal"}},
        "endpoints": list(endpoint), "ports": ports,
    }
    return discovery.targets([], [entry])


def launcher(pod_name: str, node: str, ready: bool = True) -> Object:
    return {"addresses": ["10.77.1.10"], "conditions": {"ready": ready}, "nodeName": node,
            "targetRef": {"kind": "Pod", "name": pod_name}}


ASKED = {"prometheus.io/scrape": "true"}
METRICS = [{"name": "metrics", "port": 9104}, {"name": "http", "port": 80}]


def test_a_migrating_guest_stays_one_target() -> None:
    """Neither pod nor node is in its labels, so source and target are the same series."""
    found = scraped(ASKED, METRICS, launcher("virt-launcher-vm-1-abcde", "node-a"),
                    launcher("virt-launcher-vm-1-fghij", "node-b", ready=False))
    labels = {"namespace": "demo", "service": "portal", "endpoint": "metrics", "vmi": "vm-1"}
    assert found == [{"targets": ["10.77.1.10:9104"], "labels": labels}]


def test_another_pod_names_itself_and_its_node() -> None:
    (found,) = scraped(ASKED, METRICS, launcher("exporter-1", "node-a"))
    assert (found["labels"]["pod"], found["labels"]["node"]) == ("exporter-1", "node-a")


def test_the_port_annotation_chooses_a_port_by_number() -> None:
    bare: Object = {"addresses": ["10.77.0.2"]}
    found = scraped({**ASKED, "prometheus.io/port": "80", "prometheus.io/path": "/m"}, METRICS[1:], bare)
    assert found[0]["targets"] == ["10.77.0.2:80"]
    assert found[0]["labels"]["__metrics_path__"] == "/m"


def test_nobody_is_scraped_unasked() -> None:
    assert scraped({}, METRICS, launcher("p", "node-a")) == []


def test_the_services_annotation_counts_for_its_slices() -> None:
    api = FakeApi()
    asked = service(selector={"app": "portal"})
    asked["metadata"]["annotations"] = ASKED
    asked["spec"]["ports"][0]["name"] = "metrics"
    api.given(SERVICE, asked)
    owner = {"metadata": {"name": "vm", "uid": "u"}}
    api.given(POD, running_pod("virt-launcher-vm-abcde", owner, "node-a", app="portal"))
    reconcile(api, endpoints.reconcile, WHERE)
    (group,) = discovery.targets(api.all(SERVICE), api.all(ENDPOINT_SLICE))
    assert group["labels"]["vmi"] == "vm"
    assert api.all(ENDPOINT_SLICE)[0]["metadata"]["annotations"] == ASKED


def test_prometheus_scrapes_every_second_and_reads_the_targets_file(tmp_path: Path) -> None:
    config = LabConfig(state_dir=str(tmp_path))
    settings = yaml.safe_load(prometheus.write(config).read_text())
    assert settings["global"]["scrape_interval"] == "1s"
    jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
    assert jobs["virt-controller"]["static_configs"][0]["targets"] == ["10.77.0.1:8443"]
    assert len(jobs["virt-handler"]["static_configs"][0]["targets"]) == 4
    assert jobs["services"]["file_sd_configs"][0]["files"] == [str(prometheus.targets_file(config))]
    assert prometheus.targets_file(config).read_text() == "[]"
    assert f"--config.file={prometheus.config_file(config)}" in prometheus.argv(config)


def test_prometheus_is_reached_by_a_service_without_a_selector() -> None:
    objects = prometheus.monitoring_objects(LabConfig())
    assert [kind.name for kind, _ in objects] == ["Service", "EndpointSlice"]
    assert "selector" not in objects[0][1]["spec"]
    assert objects[1][1]["endpoints"][0]["addresses"] == ["10.77.0.3"]


def test_ports_of_the_nodes_are_given_once_and_a_wanted_one_is_kept() -> None:
    api = FakeApi()
    wished = {"name": "http", "port": 80, "nodePort": 30000}
    api.given(SERVICE, service("other", type="NodePort", ports=[wished]))
    api.given(SERVICE, service(type="NodePort", ports=[{"name": "http", "port": 80}]))
    for name in ("other", "portal"):
        reconcile(api, services.reconcile, f"demo/{name}", times=2)
    given = [api.there(SERVICE, f"demo/{name}")["spec"]["ports"][0]["nodePort"] for name in ("other", "portal")]
    assert given == [30000, 30001]


def test_every_node_answers_at_its_own_address() -> None:
    shown = service(type="NodePort", ports=[{"name": "http", "port": 80, "nodePort": 30001}])
    shown["metadata"]["namespace"] = "demo"
    entry = {
        "metadata": {"namespace": "demo", "labels": {"kubernetes.io/service-name": "portal"}},
        "endpoints": [{"addresses": ["10.77.1.10"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080}],
    }
    (front,) = node_ports.fronts("10.77.0.11", [shown], [entry])
    assert (front.address, front.port, front.backends) == ("10.77.0.11", 30001, (("10.77.1.10", 8080),))
    balanced_one = {**shown, "spec": {**shown["spec"], "type": "LoadBalancer"}}
    assert node_ports.fronts("10.77.0.11", [balanced_one], [entry]) == ()
