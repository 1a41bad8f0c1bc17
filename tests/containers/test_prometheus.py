"""The harness's queries, asked of a real Prometheus: every scrape is told, and a hole stays one."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from drainproof.prometheus import Prometheus, PrometheusError
from drainproof.wait import Deadline, wait
from tests.containers.conftest import Server

SELECTOR = 'up{job="itself"}'


def times(prometheus: Prometheus, start: float, end: float) -> list[float]:
    (series,) = prometheus.raw(SELECTOR, start, end)
    return [float(at) for at, _ in series["values"]]


def test_every_scrape_is_a_sample_with_its_own_instant(prometheus: Prometheus) -> None:
    """Raw samples, at the instants of the scrapes and not on a grid, in order."""
    start = time.time()
    found = wait(
        "five scrapes", lambda: prometheus.raw(SELECTOR, start, time.time()),
        until=lambda series: bool(series) and len(series[0]["values"]) >= 5, deadline=Deadline(30),
    )
    instants = [float(at) for at, _ in found[0]["values"]]
    assert instants == sorted(instants)
    assert all(start - 1 <= at <= time.time() for at in instants)
    assert {value for _, value in found[0]["values"]} == {"1"}
    assert all(0.3 < later - earlier < 5 for earlier, later in pairwise(instants))


def test_a_hole_stays_a_hole(prometheus: Prometheus, prometheus_server: Server) -> None:
    """While it stood still nothing was scraped, and no sample is made up for that time."""
    prometheus_server.pause()
    began = time.time()
    with pytest.raises(PrometheusError):
        prometheus.now("up")  # its client gives up after 5 s
    ended = time.time()
    prometheus_server.resume()
    found = wait(
        "scrapes after the hole", lambda: times(prometheus, began - 5, time.time()),
        until=lambda instants: sum(at > ended for at in instants) >= 2, deadline=Deadline(30),
    )
    assert any(at < began for at in found)
    assert not [at for at in found if began + 1 < at < ended - 0.1]


def test_the_current_value_is_told_by_series(prometheus: Prometheus) -> None:
    """With labels and value, as Prometheus has them."""
    (series,) = prometheus.now(SELECTOR)
    assert series["metric"]["job"] == "itself"
    assert series["value"][1] == "1"


@pytest.mark.parametrize("query", ["up{", "nonsense(", "rate(up)"])
def test_a_query_that_is_refused_is_an_error(query: str, prometheus: Prometheus) -> None:
    """And is never an empty answer, which would say that there is nothing."""
    with pytest.raises(PrometheusError, match="Prometheus query"):
        prometheus.now(query)


def test_what_does_not_exist_is_empty(prometheus: Prometheus) -> None:
    """No error either."""
    assert prometheus.now("no_such_metric") == []
    assert prometheus.raw("no_such_metric", time.time() - 10, time.time()) == []
