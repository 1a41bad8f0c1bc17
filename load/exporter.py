"""Exports an observer's running figures to Prometheus; they are put into words only when someone scrapes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from drainproof.errors import CannotRunError
from drainproof.record import Outcome
from load.figures import BUCKETS, StreamFigures
from load.recorder import Recorder


class FiguresCollector(Collector):
    """The metrics of one observer, read from its recorder at the time of the scrape."""

    def __init__(self, observer: str, recorder: Recorder) -> None:
        self._observer = observer
        self._recorder = recorder

    def collect(self) -> Iterable[Metric]:
        """Every outcome of every stream is present from the start, so that a first error is an increase."""
        now, figures = time.monotonic_ns(), self._recorder.figures
        with figures.upto(now) as streams:
            return [
                _operations(streams),
                _gauge(
                    "drainproof_longest_gap_seconds",
                    "Longest time between the answers of two successive successes so far.",
                    ((stream.name, stream.gap.longest_ns(now)) for stream in streams),
                ),
                _gauge(
                    "drainproof_current_gap_seconds", "Time since the answer of the last success.",
                    ((stream.name, stream.gap.current_ns(now)) for stream in streams),
                ),
                _durations(streams),
                _seconds(
                    "drainproof_void_seconds", "Time in which the observer was away from where it asks this stream.",
                    "stream", {name: void_ns / 1e9 for name, void_ns in figures.void_ns().items()},
                ),
                _seconds(
                    "drainproof_stall_seconds", "Time in which the observer itself did not run.",
                    "observer", {self._observer: self._recorder.stall_seconds},
                ),
            ]


def _operations(streams: Iterable[StreamFigures]) -> Metric:
    family = CounterMetricFamily("drainproof_operations", "Finished operations.", labels=["stream", "outcome"])
    for stream in streams:
        for outcome in Outcome:
            family.add_metric([stream.name, outcome.name.lower()], int(stream.outcomes[outcome]))
    return family


def _seconds(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for whose, seconds in values.items():
        family.add_metric([whose], seconds)
    return family


def _gauge(name: str, text: str, values_ns: Iterable[tuple[str, int]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["stream"])
    for stream, value in values_ns:
        family.add_metric([stream], value / 1e9)
    return family


def _durations(streams: Iterable[StreamFigures]) -> Metric:
    family = HistogramMetricFamily(
        "drainproof_operation_seconds", "Time from sending to the answer or to giving up.", labels=["stream"]
    )
    bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
    for stream in streams:
        counts = list(zip(bounds, accumulate(stream.buckets.tolist()), strict=True))
        family.add_metric([stream.name], counts, stream.total_ns / 1e9)
    return family


@contextmanager
def exporting(observer: str, recorder: Recorder, address: str, port: int | None) -> Iterator[str]:
    """Serve the metrics for the length of a block; yields where, or nothing when no port is asked for (0: any port).

    Raises CannotRunError when the port cannot be used.
    """
    if port is None:
        yield ""
        return
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FiguresCollector(observer, recorder))
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise CannotRunError(
            f"Metrics cannot be served on {address}:{port}: {error.strerror}; free the port or choose another."
        ) from error
    try:
        yield f"{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
