"""Makes stored runs as a comparison reads them: run.json and verdicts with figures, without any samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from drainproof.clock import Anchor
from drainproof.record import Run, RunInfo
from drainproof.record.case import EVENTS, VERDICT, write_json
from drainproof.settings import Profile
from reports.verdict import CaseVerdict, Figure, Verdict

BEGIN = 1_790_000_000
ENVIRONMENT = {"host": {"cpu": "made", "cores": 2}, "migrations": {}, "storage_class": {"name": ""}}
Values = Callable[[np.random.Generator, str, int], float | None]


def figure(value: float | None, axis: str = "downtime", object: str = "vip", **more: Any) -> Figure:
    """A figure in seconds."""
    return Figure(axis=axis, object=object, value=value, unit="s", **more)


def write_run(
    directory: Path, number: int, group: str, figures: Mapping[str, Sequence[Figure]], *,
    verdicts: Mapping[str, Verdict] | None = None, **changed: Any,
) -> Path:
    """One run, the number-th to be started, on a storage class; figures and verdicts by case."""
    started = BEGIN + 600 * number
    info: dict[str, Any] = {
        "run_id": f"run-{number:03d}", "started": datetime.fromtimestamp(started, UTC).isoformat(),
        "anchor": Anchor(1000 + number, started * 10**9), "command": "drainproof certify", "seed": 1,
        "target": {"name": "lab", "storage_classes": {"shared": group, "local": ""}},
        "settings": Profile(name="quick").model_dump(mode="json"),
        "versions": {"kubevirt": "v1.9.0", "python": "3.11.7"}, "environment": ENVIRONMENT, **changed,
    }
    run = directory / str(info["run_id"])
    Run(run).describe(RunInfo(**info))
    for case, of_case in figures.items():
        (run / case).mkdir()
        (run / case / EVENTS).write_text("")
        verdict = CaseVerdict(
            case=case, title=f"What {case} shows", verdict=(verdicts or {}).get(case, Verdict.PASS), limits={},
            claims=(), judged_by={"version": "4"}, figures=tuple(of_case),
        )
        write_json(run / case / VERDICT, verdict.as_json())
    return run


def write_groups(
    directory: Path, order: Sequence[str], value: Values, *, axes: Sequence[str] = ("downtime",), seed: int = 1,
    cases: Sequence[str] = ("drain",),
) -> Path:
    """A run for each letter in `order`, each axis with a value of its own."""
    chance = np.random.default_rng(seed)
    for number, group in enumerate(order):
        figures = {case: [figure(value(chance, group, number), axis) for axis in axes] for case in cases}
        write_run(directory, number, group, figures)
    return directory
