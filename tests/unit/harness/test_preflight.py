"""What a run asks of a cluster before it begins: by the cases that were chosen, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from drainproof.api import MACHINE_SNAPSHOTS, NETWORK_CHAOS
from drainproof.errors import CannotRunError
from drainproof.settings import Profile
from drainproof.target import StorageFacts, Target
from fixtures.observers import ALWAYS
from fixtures.portal import PortalPlan
from fixtures.preflight.cases import SUITES_DIRECTORY, CaseNeeds, collected

TARGET = Target(name="made", guest_image="image", storage_classes=StorageFacts(shared="fast"))
"""Without a Prometheus, and without addresses for guests."""


@pytest.fixture(scope="module")
def every_case() -> dict[str, CaseNeeds]:
    """All cases of the suites, by name."""
    return {case.name: case for case in collected([str(SUITES_DIRECTORY)])}


def test_guest_addresses_are_needed_for_portals_alone() -> None:
    """The machines of the storage suite are told apart by whatever address they get."""
    plan = PortalPlan.of(Profile(name="p"), TARGET, "r", ALWAYS, portal=False)
    assert (plan.image, plan.storage_class) == ("image", "fast")
    with pytest.raises(CannotRunError, match="3 guest addresses"):
        PortalPlan.of(Profile(name="p"), TARGET, "r", ALWAYS)
    with pytest.raises(CannotRunError, match="guest image"):
        PortalPlan.of(Profile(name="p"), Target(name="made"), "r", ALWAYS, portal=False)


def test_cases_tell_what_they_use_by_their_marks_and_fixtures(every_case: dict[str, CaseNeeds]) -> None:
    assert {case.suite for case in every_case.values()} == {"galera", "high_availability", "live_migration", "storage"}
    assert all(case.portal == (case.suite != "storage") for case in every_case.values())
    assert every_case["test_drain_of_every_node"].features == frozenset()
    assert every_case["test_node_loss_fenced_by_taint"].features == {"power", "no_operator"}
    assert every_case["test_a_drain_through_a_slow_api"].features == {"may_disturb"}
    assert every_case["test_post_copy"].features == {"post_copy"}
    assert every_case["test_the_server_fails_over"].features >= {"storage", "storage_failover"}
    snapshot = every_case["test_writes_go_on_through_a_snapshot"]
    assert (snapshot.apis, "snapshots" in snapshot.features) == ((MACHINE_SNAPSHOTS,), True)
    assert every_case["test_a_slow_network"].apis == (NETWORK_CHAOS,)


def test_only_what_names_and_expressions_choose_is_collected(tmp_path: Path) -> None:
    """Wherever the command is called from; that there is nothing is an answer too."""
    chosen = collected([str(SUITES_DIRECTORY)], "writes_go_on and not snapshot", tmp_path)
    assert sorted(case.name for case in chosen) == [
        "test_writes_go_on_through_a_drain", "test_writes_go_on_through_a_migration",
    ]
    assert not any(case.portal for case in chosen)
    assert collected([str(SUITES_DIRECTORY / "storage")], "nothing_is_called_so", tmp_path) == ()


def test_what_cannot_be_collected_is_told(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(CannotRunError, match="cannot be collected: .*nothing_of_that_name"):
        collected([str(tmp_path / "test_broken.py")])
