"""What Prometheus scraped in a synthetic run: of the load's exporters and of the members of the cluster."""

from __future__ import annotations

from typing import Any

import numpy as np

from drainproof.record import Outcome
from tests.unit.reports import stopwatch_records
from tests.unit.reports.stopwatch_records import Watched
from tests.unit.reports.timeline import ADDRESSES, SCRAPES, VMS, S, at, pause_of, query_of, series_of

GALERA = {"cluster_size": 3.0, "cluster_status": 1.0, "local_state": 4.0, "conf_id": 17.0}

Row = list[int]


def longest_exported(rows: list[Row], until: int) -> float:
    """What an exporter would tell at an instant: the longest time between two successful answers."""
    answers = sorted(row[2] for row in rows if row[3] == Outcome.OK and row[2] <= until)
    return float(np.diff([*answers, until]).max() / S)


def queries(samples: dict[str, list[Row]], watched: Watched) -> list[dict[str, Any]]:
    """What Prometheus answers when it is asked for all that it scraped in a run with such samples."""
    found = stopwatch_records.metrics(watched)
    for stream, rows in sorted(samples.items()):
        port = {"sql": 9302, "clinic": 9303}.get(stream.partition("/")[0], 9301)
        labels = {"instance": f"10.77.0.2:{port}", "stream": stream}
        for outcome in ("ok", "error", "timeout", "indeterminate"):
            ends = np.array([row[2] for row in rows if Outcome(row[3]).name.lower() == outcome])
            counts = [int((ends <= at(time)).sum()) for time in SCRAPES]
            found["operations"].append(series_of({**labels, "outcome": outcome}, SCRAPES, counts))
        longest = [longest_exported(rows, at(time)) for time in SCRAPES]
        found["longest_gap"].append(series_of(labels, SCRAPES, longest))
    asked = [query_of(name, result) for name, result in found.items()]
    members = {vm: [time for time in SCRAPES if not _paused(vm, time)] for vm in VMS}
    for name, value in GALERA.items():
        result = [_of_member(vm, times, [value] * len(times)) for vm, times in members.items()]
        asked.append(query_of(name, result))
    paused = [_of_member(vm, times, [1e6 * number for number in range(len(times))]) for vm, times in members.items()]
    asked.append(query_of("flow_control_paused_ns", paused))
    ups = [_of_member(vm, SCRAPES, [0 if _paused(vm, time) else 1 for time in SCRAPES]) for vm in VMS]
    asked.append(query_of("up", ups))
    return asked


def _paused(vm: str, time: float) -> bool:
    begin, end = pause_of(vm)
    return begin - 0.1 <= time <= end


def _of_member(vm: str, times: list[float], values: list[Any]) -> dict[str, Any]:
    return series_of({"instance": f"{ADDRESSES[vm]}:9104", "pod": f"virt-launcher-{vm}"}, times, values)
