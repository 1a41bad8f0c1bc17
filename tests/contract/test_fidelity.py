"""The lab against the recordings of a real cluster: `lab/quirks.toml` gives a reason for every difference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.fidelity import flows, ground, loss, plan, quirks
from tests.contract.fidelity.replay import Compared
from tests.contract.fidelity.shapes import Difference
from tests.recordings import recordings


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ground.Ground]:
    recordings()
    with ground.running(tmp_path_factory.mktemp("fidelity")) as running:
        yield running


@pytest.mark.parametrize("topic", plan.TOPICS)
def test_no_unexplained_difference(lab: ground.Ground, topic: str) -> None:
    """Status, headers and what is compared of a body agree, and no quirk is listed that is not there any more."""
    verdict = quirks.judge(plan.compared(lab, recordings(), topic), quirks.load())
    assert not verdict.unexplained, "\n".join(verdict.unexplained)
    assert not verdict.idle, f"quirks that match nothing: {', '.join(verdict.idle)}"


def test_a_machine_goes_through_its_life_in_the_recorded_order(tmp_path: Path) -> None:
    """Phases, conditions, fields of a migration, events and the answers to evictions come as recorded."""
    folder = recordings()
    with ground.running(tmp_path, flows.SCALE) as running:
        verdict = quirks.judge(flows.compared(running, folder), quirks.load())
    assert not verdict.unexplained, "\n".join(verdict.unexplained)
    assert not verdict.idle, f"quirks that match nothing: {', '.join(verdict.idle)}"


def test_what_follows_the_loss_of_a_node_is_said_in_the_recorded_order(tmp_path: Path) -> None:
    """The node, its taints, its pods and the machine change one after another as recorded; it stays Running."""
    folder = recordings()
    with ground.running(tmp_path, grace_seconds=loss.GRACE_SECONDS) as running:
        verdict = quirks.judge(loss.compared(running, folder), quirks.load())
    assert not verdict.unexplained, "\n".join(verdict.unexplained)
    assert not verdict.idle, f"quirks that match nothing: {', '.join(verdict.idle)}"


def test_a_difference_is_told_unless_a_quirk_explains_it_there() -> None:
    """An entry explains its points at its places only, and one that explains nothing is told too."""
    status, body = Difference("status", 404, 200), Difference("body/kind", "Status", "Pod")
    told = {"crud:5": (status,), "crud:6": (status, body), "crud:7": ()}
    compared = [Compared(place, "b", found) for place, found in told.items()]
    known = quirks.Quirk("one", "a reason", False, False, ("crud:5-6", "crud:9", "watch:1"), ("status", "warning"))
    verdict = quirks.judge(compared, (known,))
    assert (verdict.compared, verdict.equal, verdict.explained, verdict.unexplained_places) == (3, 1, 1, 1)
    assert [line.split(":")[:2] for line in verdict.unexplained] == [["crud", "6 b"]]
    assert verdict.idle == ("one: crud:9",)


def test_every_quirk_has_a_reason() -> None:
    assert [quirk.name for quirk in quirks.load() if not quirk.reason.endswith(".")] == []
