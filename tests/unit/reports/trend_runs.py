"""Writes histories of judged runs: verdicts with few claims, no samples, one run a night."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from drainproof.clock import Anchor
from drainproof.record import Run, RunInfo
from drainproof.record.case import EVENTS
from drainproof.settings import Profile
from reports.judge import write_verdict
from reports.verdict import Better, CaseVerdict, Claim, Figure, Part, Verdict, worst

FIRST = datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
CASE = "drain_of_every_node"
LIMIT = 2.0
BOOTED_NS = int(datetime(2026, 8, 1, tzinfo=UTC).timestamp()) * 10**9


@dataclass(frozen=True)
class Night:
    """One run; `outage` is the measured value of outage.udp, None for none."""

    outage: float | None = 0.4
    verdict: Verdict | None = None
    """Of outage.udp; None: by its limit."""
    lost: int = 0
    """Of ledger.complete."""
    drain_time: float | None = None
    """A figure, if there is one."""
    versions: Mapping[str, str] = field(default_factory=lambda: {"kubernetes": "v1.36.2", "kubevirt": "v1.9.0"})
    case: str = CASE
    target: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "lab", "storage_classes": {"shared": "lab-shared"}}
    )
    profile: str = "quick"
    started: datetime | None = None
    parts: tuple[Part, ...] = ()
    detection: float = 0.2
    reason: str = "portal-0 was away"

    def claims(self) -> tuple[Claim, ...]:
        by_limit = Verdict.PASS if self.outage is not None and self.outage <= LIMIT else Verdict.FAIL
        return (
            Claim(
                id="outage.udp", title="Nobody waits", verdict=self.verdict or by_limit, reason=self.reason,
                measured=self.outage, limit=LIMIT, unit="s, longest possible outage", detection_limit=self.detection,
                parts=self.parts,
            ),
            Claim(
                id="ledger.complete", title="Nothing is lost", verdict=Verdict.FAIL if self.lost else Verdict.PASS,
                reason=f"{self.lost} rows lost", measured=self.lost, limit=0, unit="lost or differing rows",
                detection_limit=1,
            ),
        )


def write_night(runs: Path, number: int, night: Night, name: str = "") -> Path:
    """Write the run of a night; its directory's name is no help in ordering."""
    started = night.started or FIRST + timedelta(days=number)
    wall = int(started.timestamp() * 1e9)
    run_id = name or f"{(number * 7919) % 10007:05d}-{number}"
    info = RunInfo(
        run_id=run_id, started=started.isoformat(), anchor=Anchor(wall - BOOTED_NS, wall), command="drainproof certify",
        seed=1, target=dict(night.target), settings=Profile(name=night.profile).model_dump(mode="json"),
        versions=dict(night.versions),
    )
    directory = runs / run_id
    Run(directory).describe(info)
    case = directory / f"case-{number}"
    case.mkdir()
    (case / EVENTS).touch()
    claims = night.claims()
    figures = (
        (Figure(axis="drain time", object="node-a", value=night.drain_time, unit="s", better=Better.LESS),)
        if night.drain_time is not None else ()
    )
    write_verdict(
        case,
        CaseVerdict(
            case=night.case, title="A drain", verdict=worst(claim.verdict for claim in claims), claims=claims,
            limits=Profile(name="x").limits.model_dump(), judged_by={"version": "1"}, figures=figures,
        ),
    )
    return directory


def write_nights(runs: Path, nights: Iterable[Night]) -> Path:
    """Write a run for each night, one day apart."""
    runs.mkdir(exist_ok=True)
    for number, night in enumerate(nights):
        write_night(runs, number, night)
    return runs


def upgraded(night: Night, kubevirt: str = "v1.10.0") -> Night:
    """The same night with another version of KubeVirt."""
    return replace(night, versions={**night.versions, "kubevirt": kubevirt})
