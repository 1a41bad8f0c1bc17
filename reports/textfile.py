"""The verdicts and figures of a run as a file for node_exporter's textfile collector.

The collector reads every `*.prom` file of its directory and repeats what is in it at each scrape, so a nightly run's
result stays visible until the next one replaces it. Label values are the cluster's own words, without control
characters and escaped by prometheus_client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drainproof.record import RunInfo
from reports.text import clean
from reports.verdict import CaseVerdict, worst

CODES: Final = "0 pass, 1 fail, 2 unknown"
_CLAIM = ("case", "claim")


def write(run: RunInfo, verdicts: Sequence[CaseVerdict], path: Path) -> None:
    """Write the file in one step; the collector never sees half of it."""
    registry = CollectorRegistry()
    registry.register(_Verdicts(run, verdicts))
    write_to_textfile(str(path), registry)


class _Verdicts(Collector):
    """What is told of a run; each name once, with a sample for each case, claim or figure."""

    def __init__(self, run: RunInfo, verdicts: Sequence[CaseVerdict]) -> None:
        self._run = run
        self._verdicts = verdicts

    def collect(self) -> Iterable[Metric]:
        yield from self._of_run()
        yield from self._of_claims()
        yield self._figures()

    def _of_run(self) -> Iterable[Metric]:
        run = self._run
        told = _family("run_info", "Which run this file is about.", ("run_id", "target", "profile"))
        told.add_metric(_labels(run.run_id, run.target.get("name", ""), run.settings.get("name", "")), 1)
        yield told
        verdict = _family("run_verdict", f"The worst verdict of all cases: {CODES}.", ())
        verdict.add_metric([], worst(one.verdict for one in self._verdicts).exit_code)
        yield verdict
        started = _family("run_started_timestamp_seconds", "When the run began, seconds since the epoch.", ())
        started.add_metric([], run.anchor.wall_ns / 1e9)
        yield started
        cases = _family("case_verdict", f"The verdict about a case: {CODES}.", ("case",))
        for one in self._verdicts:
            cases.add_metric(_labels(one.case), one.verdict.exit_code)
        yield cases

    def _of_claims(self) -> Iterable[Metric]:
        verdicts = _family("claim_verdict", f"The verdict about a claim: {CODES}.", _CLAIM)
        unit = "in the claim's own unit; missing where there is none"
        measured = _family("claim_measured", f"What was measured, {unit}.", (*_CLAIM, "unit"))
        limits = _family("claim_limit", f"What was allowed, {unit}.", (*_CLAIM, "unit", "bound"))
        detection = _family("claim_detection_limit", f"What is sure to have been seen, {unit}.", (*_CLAIM, "unit"))
        for case, claim in ((one.case, claim) for one in self._verdicts for claim in one.claims):
            verdicts.add_metric(_labels(case, claim.id), claim.verdict.exit_code)
            if claim.measured is not None:
                measured.add_metric(_labels(case, claim.id, claim.unit), claim.measured)
            if claim.limit is not None and claim.bound:
                limits.add_metric(_labels(case, claim.id, claim.unit, claim.bound), claim.limit)
            if claim.detection_limit is not None:
                detection.add_metric(_labels(case, claim.id, claim.unit), claim.detection_limit)
        yield from (verdicts, measured, limits, detection)

    def _figures(self) -> Metric:
        told = "A measured quantity by which runs are compared."
        figures = _family("figure", told, ("case", "axis", "object", "unit"))
        seen: set[tuple[str, ...]] = set()
        for case, figure in ((one.case, figure) for one in self._verdicts for figure in one.figures):
            labels = _labels(case, figure.axis, figure.object, figure.unit)
            if figure.value is not None and tuple(labels) not in seen:
                seen.add(tuple(labels))
                figures.add_metric(labels, figure.value)
        return figures


def _family(name: str, told: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"drainproof_{name}", told, labels=labels)


def _labels(*values: object) -> list[str]:
    return [clean(value) for value in values]
