"""Prometheus series of a case: what was scraped, when, and where scrapes are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.evidence import Evidence
from reports.spans import Span
from reports.verdict import MissingEvidenceError

INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Series:
    """One scraped series; times in monotonic nanoseconds, as exact as the two hosts' wall clocks agree."""

    labels: Mapping[str, str]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    @property
    def host(self) -> str:
        """The scraped address without its port."""
        return self.labels.get("instance", "").rpartition(":")[0]

    def __len__(self) -> int:
        return len(self.times)

    def within(self, span: Span) -> Series:
        """The scrapes inside a span."""
        inside = (self.times >= span.begin) & (self.times <= span.end)
        return Series(self.labels, self.times[inside], self.values[inside])

    def around(self, span: Span) -> Series:
        """The scrapes inside a span and the one just before it, if there is one."""
        low = max(0, int(np.searchsorted(self.times, span.begin, side="right")) - 1)
        high = int(np.searchsorted(self.times, span.end, side="right"))
        return Series(self.labels, self.times[low:high], self.values[low:high])


def series(evidence: Evidence, name: str) -> list[Series]:
    """Every series stored under a query's name, by labels.

    Raises MissingEvidenceError when the query was not made, failed, or returned nothing.
    """
    queries = [query for query in evidence.metrics if query.get("name") == name]
    if not queries:
        raise MissingEvidenceError(f"metrics.json holds no query {name!r}")
    if errors := [str(query["error"]) for query in queries if query.get("error")]:
        raise MissingEvidenceError(f"the query {name!r} to Prometheus failed: {errors[0]}")
    found = [_series(evidence, result) for query in queries for result in query.get("result") or ()]
    if not found:
        raise MissingEvidenceError(f"the query {name!r} returned no series")
    return sorted(found, key=lambda one: sorted(one.labels.items()))


def by_host(found: Iterable[Series]) -> dict[str, Series]:
    """One series per scraped address: parts that differ in other labels, such as the pod of a machine that moved."""
    grouped: dict[str, list[Series]] = {}
    for one in found:
        grouped.setdefault(one.host, []).append(one)
    return {host: _merged(parts) for host, parts in grouped.items()}


def _merged(parts: list[Series]) -> Series:
    times, values = (np.concatenate([getattr(one, name) for one in parts]) for name in ("times", "values"))
    order = np.argsort(times, kind="stable")
    return Series(parts[0].labels, times[order], values[order])


def holes(times: Iterable[int], span: Span, longer_than: float) -> list[Span]:
    """Where successive scrapes lie further apart than so many seconds; the edges of the span count as scrapes."""
    edges = [span.begin, *(time for time in times if time in span), span.end]
    return [Span(begin, end) for begin, end in pairwise(edges) if end - begin > longer_than * 1e9]


def _series(evidence: Evidence, result: Mapping[str, Any]) -> Series:
    pairs = sorted((evidence.anchor.monotonic(float(time)), float(value)) for time, value in result["values"])
    real = [(time, value) for time, value in pairs if value == value]
    times = np.array([time for time, _ in real], np.int64)
    values = np.array([value for _, value in real], np.float64)
    return Series({str(key): str(value) for key, value in result["metric"].items()}, times, values)
