"""How far the lab answers as the recorded cluster did: comparisons per recording, and how many are alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from tests.contract.fidelity import flows, ground, loss, plan, quirks, recorded
from tests.contract.fidelity.quirks import Verdict


def measure() -> Iterator[Figure]:
    """Send the recorded requests to a lab of simulated nodes; nothing where the recordings are not at hand."""
    folder = recorded.directory()
    if folder is None:
        return
    known = quirks.load()
    with tempfile.TemporaryDirectory() as state, ground.running(Path(state)) as lab:
        for topic in plan.TOPICS:
            yield from _figures(topic, quirks.judge(plan.compared(lab, folder, topic), known))
    with tempfile.TemporaryDirectory() as state, ground.running(Path(state), flows.SCALE) as lab:
        yield from _figures("orders", quirks.judge(flows.compared(lab, folder), known))
    with tempfile.TemporaryDirectory() as state, ground.running(Path(state), grace_seconds=loss.GRACE_SECONDS) as lab:
        yield from _figures("node loss", quirks.judge(loss.compared(lab, folder), known))


def _figures(topic: str, verdict: Verdict) -> Iterator[Figure]:
    yield Figure(f"fidelity, {topic}: compared", verdict.compared, "")
    yield Figure(f"fidelity, {topic}: alike", verdict.equal, "")
    yield Figure(f"fidelity, {topic}: meant to differ", verdict.explained, "")
    yield Figure(f"fidelity, {topic}: known faults", verdict.known, "")
    yield Figure(f"fidelity, {topic}: unexplained", verdict.unexplained_places, "", "0")
