"""Galera's flow control: the share of time in which it held replication, undisturbed and from the first fault on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from reports.evidence import STORAGE, Evidence, Vm
from reports.figures.disturbed import cut_short, disturbed
from reports.series import Series, by_host, series
from reports.spans import Span
from reports.verdict import Figure, MissingEvidenceError

AXIS = "flow control"
QUERY = "flow_control_paused_ns"


def figures(evidence: Evidence) -> Iterator[Figure]:
    """By member, from the counter that Prometheus scraped; a member that restarted has none."""
    if evidence.kind == STORAGE:
        return
    try:
        scraped, trouble = by_host(series(evidence, QUERY)), ""
    except MissingEvidenceError as error:
        scraped, trouble = {}, str(error)
    doubt = cut_short(evidence)
    for phase, span in (("baseline", evidence.window.baseline), ("disturbed", disturbed(evidence))):
        for vm in evidence.vms:
            figure = _figure(f"{AXIS}, {phase}", vm, scraped.get(vm.address), span, trouble)
            open_ended = bool(doubt) and phase != "baseline" and figure.value is not None
            yield replace(figure, at_least=True, reason=doubt) if open_ended else figure


def _figure(axis: str, vm: Vm, scraped: Series | None, span: Span, trouble: str) -> Figure:
    seen = scraped.around(span) if scraped is not None else None
    reason = trouble
    if not reason and (seen is None or len(seen) < 2):
        reason = "no two scrapes of flow control"
    elif not reason and seen is not None and (np.diff(seen.values) < 0).any():
        reason = "the counter went back: the server restarted"
    if reason or seen is None:
        return Figure(axis=axis, object=vm.name, value=None, unit="share", reason=reason)
    share = float(seen.values[-1] - seen.values[0]) / int(seen.times[-1] - seen.times[0])
    return Figure(axis=axis, object=vm.name, value=share, unit="share")
