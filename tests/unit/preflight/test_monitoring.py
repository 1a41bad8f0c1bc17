"""Where Prometheus is found when nobody has named it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from drainproof.api import Cluster
from drainproof.prometheus import PrometheusError
from drainproof.resources import Object
from drainproof.settings import Profile
from drainproof.target import PrometheusFacts, Target
from fixtures import target as target_module
from fixtures.preflight import check
from fixtures.preflight import monitoring as monitoring_module
from fixtures.preflight.check import with_prometheus
from fixtures.preflight.monitoring import Monitoring, monitoring
from fixtures.preflight.reading import Reader, Unknown
from tests.unit.preflight.sites import GROUPS, Answers, Site, openshift, plain, service

ROUTE = "https://thanos-querier-openshift-monitoring.apps.site.example"


INSIDE = "https://thanos-querier.openshift-monitoring.svc:9091"


def found(services: Sequence[Object], site: Site | None = None, *, on_openshift: bool = False) -> Monitoring:
    return monitoring(Reader((site or Site()).cluster), list(services), openshift=on_openshift)


def places(seen: Monitoring) -> list[str]:
    assert not isinstance(seen.found, Unknown)
    return [one.url or f"{one.namespace}/{one.service}" for one in seen.found]


def test_the_usual_installations_are_found_the_likeliest_first() -> None:
    services = [
        service("obs", "any", ("metrics", 8080), **{"app.kubernetes.io/name": "prometheus"}),
        service("apps", "prometheus-server", ("http", 80)), service("monitoring", "prometheus-operated", ("web", 9090)),
        service("monitoring", "prometheus", ("web", 9090)), service("shop", "web", ("http", 80)),
    ]
    assert places(found(services)) == [
        "monitoring/prometheus:9090", "monitoring/prometheus-operated:9090", "apps/prometheus-server:80",
        "obs/any:8080",
    ]


def test_a_service_of_several_ports_without_a_known_one_is_left_out() -> None:
    assert places(found([service("a", "prometheus", ("x", 1), ("y", 2))])) == []


def test_openshift_is_asked_through_its_route() -> None:
    """Its own Prometheus is behind a proxy that wants a token, which the API server takes away."""
    site = Site(openshift(), (*GROUPS, "config.openshift.io"))
    seen = found(site.objects["services"], site, on_openshift=True)
    assert places(seen) == [ROUTE, INSIDE]
    assert seen.user_workload is True


def test_without_a_route_the_querier_has_an_address_inside() -> None:
    objects = {**openshift(), "routes": []}
    seen = found(objects["services"], Site(objects), on_openshift=True)
    assert places(seen) == [INSIDE]


def test_in_a_pod_openshift_hands_out_the_authority_of_its_services(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    objects = {**openshift(), "routes": []}
    seen = found(objects["services"], Site(objects), on_openshift=True).found
    assert not isinstance(seen, Unknown)
    assert seen[0].facts() == PrometheusFacts(url=INSIDE)
    handed_out = tmp_path / "service-ca.crt"
    handed_out.touch()
    monkeypatch.setattr(monitoring_module, "SERVICE_CA", handed_out)
    assert seen[0].facts() == PrometheusFacts(url=INSIDE, ca_file=str(handed_out))


def test_users_projects_may_not_be_scraped() -> None:
    objects = openshift()
    seen = found(objects["services"][:2], Site(objects), on_openshift=True)
    assert seen.user_workload is False


def test_services_that_may_not_be_read_are_told() -> None:
    seen = monitoring(Reader(Site().cluster), Unknown("needs list services"), openshift=False)
    assert seen == Monitoring(Unknown("needs list services"), None)


def connect(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setattr(Cluster, "connect", classmethod(lambda *_: site.cluster))


def test_the_first_that_answers_becomes_a_fact_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    class Second(Answers):
        @classmethod
        def of(cls, *arguments: object) -> Any:
            if "operated" not in str(arguments[-1]):
                raise PrometheusError("no")
            return cls()

    objects = plain()
    objects["services"].append(service("obs", "prometheus-operated", ("web", 9090)))
    connect(monkeypatch, Site(objects))
    monkeypatch.setattr(check, "Prometheus", Second)
    found = with_prometheus(Target(name="site")).prometheus
    assert found == PrometheusFacts(namespace="obs", service="prometheus-operated:9090")


def test_what_the_target_says_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(name="site", prometheus=PrometheusFacts(url="https://here.example"))
    monkeypatch.setattr(Cluster, "connect", classmethod(lambda *_: pytest.fail("nobody should be asked")))
    assert with_prometheus(target) is target


def test_a_run_on_a_cluster_takes_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only preflight looks for it."""
    facts = PrometheusFacts(namespace="obs")
    monkeypatch.setattr(
        target_module, "with_prometheus", lambda target: target.model_copy(update={"prometheus": facts})
    )
    with target_module.opened("kubeconfig:site", None, Profile(name="p"), print, storage_class="fast") as target:
        assert (target.context, target.storage_classes.shared, target.prometheus) == ("site", "fast", facts)


def test_where_none_answers_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, Site({**plain(), "services": []}))
    assert with_prometheus(Target(name="site")).prometheus is None
