"""A kind cluster is made whole or not at all, and nothing is removed that was not made here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from drainproof.errors import CannotRunError
from drainproof.wait import Deadline, wait
from fixtures.kind import journal as journals
from fixtures.kind import run
from fixtures.kind.facts import KindFacts, KindWish
from fixtures.kind.plan import KindPlan, cluster_name
from fixtures.kind.step import Step
from fixtures.kind.target import cleaned, kind_opened, plain_plan, planned, started
from tests.unit.kind.standins import StandIns, installed

PROJECT = Path(__file__).parents[3]
IMAGE = "localhost/drainproof/guest:1"
WISH = KindWish(KindFacts(), {}, IMAGE, kvm=False)
STEPS = [step.purpose for step in KindPlan("drainproof", KindFacts(), Path("/s"), Path("/k"), kvm=False).up()]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    return installed(tmp_path, monkeypatch)


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """Facts that name an archive which `make image` has written."""
    (tmp_path / "image.json").write_text(json.dumps({"name": IMAGE}))
    path = tmp_path / "facts.toml"
    path.write_text(f'emulated = true\n[kind]\nimage_archive = "{tmp_path}/guest.tar"\nkvm = false\n')
    return path


def silent(_line: str) -> None:
    pass


def test_the_cluster_is_made_used_and_removed(tools: StandIns, facts: Path) -> None:
    """Every step is run in order, the target says how to get in, and in the end nothing is left."""
    with kind_opened("", facts, silent) as target:
        assert list(tools.clusters) == ["drainproof"]
        assert target.context == "kind-drainproof"
        assert target.client_exec == ("nsenter", "--net=/proc/4711/ns/net", "--")
        assert target.client_address == "172.18.0.5"
        assert target.guest_image == IMAGE
        assert not target.network.keeps_addresses
        assert target.throwaway
    assert not tools.clusters
    assert not list(journals.known())
    plan = planned(journals.KindJournal("drainproof", "", 0, 0.0), WISH)
    wanted = [step.command[0] + " " + step.command[1] for step in plan.up() if step.command[0] != "sh"]
    run_in_order = iter([line for line in tools.commands() if not line.startswith(("kind get", "docker"))])
    assert all(any(line.startswith(words) for line in run_in_order) for words in wanted)


@pytest.mark.parametrize("failing", range(len(STEPS)), ids=STEPS)
def test_a_step_that_fails_leaves_nothing(failing: int, tools: StandIns) -> None:
    """Whatever step fails: the cluster is removed, the journal forgotten, and the reason told without escapes."""
    mine = journals.new("drainproof", stays=False)
    plan = planned(mine, WISH)
    command = plan.up()[failing].command
    # What tells this step from all others: its last words, or for the script something that only it asks.
    told = " ".join(command[-4:]) if command[0] != "sh" else "label nodes --all"
    told = told if command[0] != "kind" else f"kind {command[1]}"
    before = [step for step in plan.up()[:failing] if told in " ".join(step.command)]
    tools.tell(("fail", told))
    with pytest.raises(run.StepFailedError, match="failed for the test") as caught:
        run.make(plan, mine, silent)
    assert (before[0] if before else plan.up()[failing]).purpose in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert not tools.clusters
    assert journals.read("drainproof") is None
    assert tools.commands("kind delete cluster --name drainproof")


def test_a_step_that_hangs_is_ended_and_undone(tools: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is not done in time is ended with what it started, and the cluster is removed."""
    mine = journals.new("drainproof", stays=False)
    plan = planned(mine, WISH)
    create, *rest = plan.up()
    monkeypatch.setattr(KindPlan, "up", lambda _plan: (create, replace(rest[0], timeout_seconds=0.5)))
    tools.tell(("hang", "apply"))
    with pytest.raises(run.StepFailedError, match=r"share kind's own volumes.*not done within"):
        run.make(plan, mine, silent)
    assert not tools.clusters


def test_what_a_script_has_started_ends_with_it(tmp_path: Path) -> None:
    """The time of a step is the time of all its processes: none keeps the pipes open."""
    script = f"sleep 600 & echo $! >{tmp_path}/pid; wait"
    with pytest.raises(run.StepFailedError, match="not done within"):
        run.run_step(Step("wait", ("sh", "-ec", script), timeout_seconds=3.0))
    pid = int((tmp_path / "pid").read_text())
    wait("what it had started has ended", lambda: _has_ended(pid), until=bool, deadline=Deadline(20))


def _has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_cluster_of_the_same_name_is_refused_and_stays(tools: StandIns) -> None:
    """Somebody's cluster is neither used nor touched."""
    theirs = {"drainproof": {"drainproof-control-plane": "/elsewhere"}}
    tools.tell(clusters=theirs)
    mine = journals.new("drainproof", stays=False)
    with pytest.raises(CannotRunError, match="not made for this run"):
        run.make(planned(mine, WISH), mine, silent)
    assert tools.clusters == theirs
    assert not tools.commands("delete")
    assert journals.read("drainproof") is None


def test_a_cluster_that_took_the_name_meanwhile_stays(tools: StandIns) -> None:
    """Between the look and the making somebody was faster: the error of kind is told, their cluster stays."""
    mine = journals.new("drainproof", stays=False)
    mine.begin()
    theirs = {"drainproof": {"drainproof-control-plane": "/elsewhere"}}
    tools.tell(clusters=theirs)
    with pytest.raises(CannotRunError, match="is not the one that"):
        run.remove(planned(mine, WISH), mine)
    assert tools.clusters == theirs
    assert not tools.commands("delete")


def test_one_foreign_node_is_enough_to_keep_a_cluster(tools: StandIns) -> None:
    """Whose a cluster is, all of its nodes have to say."""
    mine = journals.new("drainproof", stays=False)
    mine.begin()
    tools.tell(clusters={"drainproof": {"one": str(mine.shared), "two": str(mine.shared) + "x"}})
    with pytest.raises(CannotRunError, match=r"two does not mount"):
        run.remove(planned(mine, WISH), mine)
    assert tools.clusters


def test_an_undo_that_fails_is_told_and_can_be_repeated(tools: StandIns) -> None:
    """The journal stays until the cluster is gone; the first error is the one that counts."""
    mine = journals.new("drainproof", stays=False)
    tools.tell(("fail", "rollout restart"), ("fail", "kind delete"))
    told: list[str] = []
    with pytest.raises(run.StepFailedError, match="have the provisioner read that"):
        run.make(planned(mine, WISH), mine, told.append)
    assert "could not remove the cluster" in told[-1]
    assert journals.read("drainproof") == mine
    tools.tell()
    assert run.remove(plain_plan(mine), mine)
    assert not tools.clusters
    assert journals.read("drainproof") is None


MAKER = """
import sys
from pathlib import Path
from fixtures.kind.facts import KindFacts, KindWish
from fixtures.kind.target import started
started("", KindWish(KindFacts(), {}, "image", kvm=False), lambda line: print(line, flush=True), stays=False)
"""


def test_what_a_killed_run_has_left_is_removed_by_the_next(tools: StandIns, facts: Path) -> None:
    """Killed half-way, the run cannot undo anything: its journal tells the next one, and the cleanup."""
    tools.tell(("hang", "deployment/virt-operator"))
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        [sys.executable, "-c", MAKER], stdout=subprocess.PIPE, text=True, env=environment, cwd=PROJECT
    ) as maker:
        assert maker.stdout is not None
        assert any("wait for the operator" in line for line in maker.stdout)
        maker.send_signal(signal.SIGKILL)
    _end_hanging(tools)
    (left,) = journals.known()
    assert left.abandoned
    assert list(tools.clusters) == ["drainproof"]
    tools.tell()
    assert list(cleaned()) == ["kind cluster drainproof: removed"]
    assert not tools.clusters
    assert list(cleaned()) == [], "a second time there is nothing to do"


def _end_hanging(tools: StandIns) -> None:
    """The stand-in in which the run hung outlives it, as a real kubectl does until its own timeout."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(tools.place).encode() in words and b"rollout" in words:
            os.kill(int(process.name), signal.SIGKILL)


def test_killed_before_the_cluster_was_there(tools: StandIns) -> None:
    """The journal is written first: without a cluster it is forgotten."""
    mine = replace(journals.new("drainproof", stays=False), born=0.0)
    mine.begin()
    assert list(cleaned()) == ["kind cluster drainproof: was gone already"]
    assert not list(journals.known())


def test_a_cluster_that_stays_is_used_and_left(tools: StandIns, facts: Path) -> None:
    """`drainproof kind up` makes one that outlives runs; only `down` removes it."""
    mine = started("", WISH, silent, stays=True)
    assert not mine.abandoned
    assert list(cleaned()) == []
    with kind_opened("", facts, silent) as target:
        assert not target.throwaway
    assert list(tools.clusters) == ["drainproof"]
    assert len(tools.commands("kind create")) == 1


def test_a_cluster_of_a_run_that_is_going_on_is_refused(tools: StandIns, facts: Path) -> None:
    """Two runs of the same name do not share a cluster that one of them will remove."""
    mine = journals.new(cluster_name(""), stays=False)
    mine.begin()
    with pytest.raises(CannotRunError, match="belongs to a run that is going on"), kind_opened("", facts, silent):
        pass
    assert journals.read("drainproof") == mine


def test_missing_executables_are_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once, with the remedy, before anything is written."""
    installed(tmp_path, monkeypatch, tools=("kubectl",))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CannotRunError, match=r"kind, docker cannot be found: install") as caught, \
            kind_opened("", None, silent):
        pass
    assert len(caught.value.reasons) == 1
    assert not (tmp_path / "state").exists()


def test_without_an_image_nothing_is_made(tools: StandIns, tmp_path: Path) -> None:
    """The guest's image comes first: `make image` is told before a cluster is there."""
    facts = tmp_path / "facts.toml"
    facts.write_text(f'[kind]\nimage_archive = "{tmp_path}/none/guest.tar"\n')
    with pytest.raises(CannotRunError, match="make image"), kind_opened("", facts, silent):
        pass
    assert not tools.commands("create")
