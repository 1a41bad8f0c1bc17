"""What a case's certification goes by: the record of its run, and what its own fixtures say of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from drainproof.clock import Anchor
from drainproof.record import Run, RunInfo
from drainproof.settings import Profile
from drainproof.target import StorageFacts, Target
from fixtures import case
from fixtures.certification import Certification
from fixtures.progress import Progress
from fixtures.session_record import SESSION, SessionRecord

TARGET = Target(
    name="made", guest_image="image", storage_classes=StorageFacts(shared="fast"),
    address_pool=("10.0.0.1", "10.0.0.2", "10.0.0.3"),
)


def certification(tmp_path: Path, environment: dict[str, Any], *fixtures: str) -> Certification:
    """Of a case that asks for these fixtures, in a run with that environment."""
    profile, run = Profile(name="p"), Run(tmp_path / "run")
    run.describe(RunInfo(
        run_id="r", started="", anchor=Anchor.take(), command="", seed=1, target={},
        settings=profile.model_dump(mode="json"), versions={}, notes=(), environment=environment,
    ))
    node = SimpleNamespace(
        name="test_one", nodeid="one", get_closest_marker=lambda _: None, iter_markers=lambda _: (),
    )
    request = SimpleNamespace(
        node=node, function=certification, fixturenames=fixtures,
        config=SimpleNamespace(stash={SESSION: SessionRecord()}),
    )
    made: Any = case.certification
    steps: Iterator[Certification] = made.__wrapped__(
        request, run, SimpleNamespace(telling=lambda _: None), TARGET, profile, Progress(),
    )
    found = next(steps)
    assert list(steps) == []
    return found


@pytest.mark.parametrize("fixtures", [("storage", "certification"), ("certification",)])
def test_disks_are_asked_for_in_the_mode_that_the_run_has_recorded(tmp_path: Path, fixtures: tuple[str, ...]) -> None:
    """By all its cases alike, whatever the cluster says by now."""
    facts = {"storage_class": {"name": "fast", "volume_mode": "Block"}}
    assert certification(tmp_path, facts, *fixtures).plan.volume_mode == "Block"


def test_copies_of_disks_are_looked_for_where_they_are_made(tmp_path: Path) -> None:
    assert certification(tmp_path / "disk", {}, "storage").copies
    assert not certification(tmp_path / "portal", {}).copies
