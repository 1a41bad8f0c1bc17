"""The verdicts and figures of a run as a file for node_exporter's textfile collector.

The collector reads every `*.prom` file of its directory and repeats what is in it at each scrape, so a nightly run's
result stays visible until the next one replaces it. Label values are the cluster's own words, without control
characters and escaped by prometheus_client. Every sample names its target, so that the files of several clusters can
lie in one directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from drainproof.record import RunInfo
from reports.text import AT_LEAST, clean
from reports.verdict import CaseVerdict, worst

CODES: Final = "0 pass, 1 fail, 2 unknown"
_CLAIM = ("target", "case", "claim")


def write(run: RunInfo, verdicts: Sequence[CaseVerdict], path: Path) -> None:
    """Write the file in one step; the collector never sees half of it."""
    registry = CollectorRegistry()
    registry.register(_Verdicts(run, verdicts))
    write_to_textfile(str(path), registry)


class _Verdicts(Collector):
    """What is told of a run; each name once, with a sample for each case, claim or figure of a target."""

    def __init__(self, run: RunInfo, verdicts: Sequence[CaseVerdict]) -> None:
        self._run = run
        self._target = run.target.get("name", "")
        self._cases = dict(_named(verdicts))

    def collect(self) -> Iterable[Metric]:
        yield from self._of_run()
        yield from self._of_claims()
        yield self._figures()

    def _of_run(self) -> Iterable[Metric]:
        run = self._run
        told = _family("run_info", "Which run this file is about.", ("target", "run_id", "profile"))
        told.add_metric(self._labels(run.run_id, run.settings.get("name", "")), 1)
        yield told
        verdict = _family("run_verdict", f"The worst verdict of all cases: {CODES}.", ("target",))
        verdict.add_metric(self._labels(), worst(one.verdict for one in self._cases.values()).exit_code)
        yield verdict
        started = _family("run_started_timestamp_seconds", "When the run began, seconds since the epoch.", ("target",))
        started.add_metric(self._labels(), run.anchor.wall_ns / 1e9)
        yield started
        cases = _family("case_verdict", f"The verdict about a case: {CODES}.", ("target", "case"))
        for name, one in self._cases.items():
            cases.add_metric(self._labels(name), one.verdict.exit_code)
        yield cases

    def _of_claims(self) -> Iterable[Metric]:
        verdicts = _family("claim_verdict", f"The verdict about a claim: {CODES}.", _CLAIM)
        unit = "in the claim's own unit; missing where there is none"
        measured = _family("claim_measured", f"What was measured, {unit}.", (*_CLAIM, "unit"))
        limits = _family("claim_limit", f"What was allowed, {unit}.", (*_CLAIM, "unit", "bound"))
        detection = _family("claim_detection_limit", f"What is sure to have been seen, {unit}.", (*_CLAIM, "unit"))
        for case, claim in ((name, claim) for name, one in self._cases.items() for claim in one.claims):
            verdicts.add_metric(self._labels(case, claim.id), claim.verdict.exit_code)
            if claim.measured is not None:
                measured.add_metric(self._labels(case, claim.id, claim.unit), claim.measured)
            if claim.limit is not None and claim.bound:
                limits.add_metric(self._labels(case, claim.id, claim.unit, claim.bound), claim.limit)
            if claim.detection_limit is not None:
                detection.add_metric(self._labels(case, claim.id, claim.unit), claim.detection_limit)
        yield from (verdicts, measured, limits, detection)

    def _figures(self) -> Metric:
        told = f"A measured quantity by which runs are compared; bound=\"{AT_LEAST}\": the true value may be larger."
        figures = _family("figure", told, ("target", "case", "axis", "object", "unit", "bound"))
        seen: set[tuple[str, ...]] = set()
        for case, figure in ((name, figure) for name, one in self._cases.items() for figure in one.figures):
            labels = self._labels(case, figure.axis, figure.object, figure.unit)
            if figure.value is not None and tuple(labels) not in seen:
                seen.add(tuple(labels))
                figures.add_metric([*labels, AT_LEAST if figure.at_least else ""], figure.value)
        return figures

    def _labels(self, *values: object) -> list[str]:
        return [clean(value) for value in (self._target, *values)]


def _named(verdicts: Sequence[CaseVerdict]) -> Iterable[tuple[str, CaseVerdict]]:
    """Each case by a name of its own: two samples of the same labels would cost Prometheus the whole file."""
    used: set[str] = set()
    for one in verdicts:
        name = clean(one.case)
        unused = (f"{name} ({number})" for number in count(2))
        name = name if name not in used else next(other for other in unused if other not in used)
        used.add(name)
        yield name, one


def _family(name: str, told: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"drainproof_{name}", told, labels=labels)
