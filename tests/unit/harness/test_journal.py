"""The journal: what is about to be changed is known on disk and in the cluster, or is not changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from drainproof.api import CONFIG_MAPS, Cluster, Object, Resource
from drainproof.cleanup import dead_journals, undo_dead_runs
from drainproof.errors import ApiError, CannotRunError
from drainproof.journal import Journal
from drainproof.journal.copy import ClusterCopy
from drainproof.journal.entries import Left, parsed, united
from drainproof.journal.reopening import cluster_of
from drainproof.ownership import process_mark

DEAD_PID = 2**22 + 1
"""Above the largest pid that Linux gives out."""


class Copies:
    """A cluster that keeps one ConfigMap, or is away."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.away = False

    def patch(self, resource: Resource, name: str, patch: dict[str, Any], namespace: str | None = None) -> Object:
        assert (resource, name, namespace) == (CONFIG_MAPS, "drainproof-run-run", "default")
        if self.away:
            raise ApiError("PATCH", 0, "Unreachable", "closed")
        self.data |= patch["data"]
        return {}

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return {"data": dict(self.data)}


def journal_of(tmp_path: Path) -> tuple[Journal, Copies]:
    kept = Copies()
    return Journal.of(tmp_path / "run", ClusterCopy(cast(Cluster, kept), "default", "run")), kept


def without_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a full disk answers."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", full)


def test_what_is_undone_is_left_no_more(tmp_path: Path) -> None:
    """A node that was uncordoned and a namespace that was deleted are not left; of the rest each is, by its kind."""
    journal = Journal.of(tmp_path / "run")
    journal.opened("kubeconfig", "", lab=False)
    for node in ("node-a", "node-b"):
        journal.cordon(node)
    journal.uncordoned("node-a")
    journal.namespace("gone")
    journal.deleted("gone")
    journal.namespace("left")
    journal.taint("node-c", "key")
    journal.power_off("node-c")
    journal.storage_pause("fast")
    journal.creating("/path")
    journal.unpause("nhc", ["mine"])
    found = {kind: list(items) for kind, items in journal.left.by_kind.items() if items}
    assert found == {
        "storage-pause": ["fast"], "power-off": ["node-c"], "cordon": ["node-b"], "taint": ["node-c key"],
        "unpause": ["nhc"], "create": ["/path"], "namespace": ["left"],
    }
    assert journal.left.by_kind["unpause"]["nhc"]["requests"] == ["mine"]
    for kind, items in journal.left.by_kind.items():
        for name in items:
            journal.ended(kind, name)
    assert not journal.left
    assert journal.unfinished
    journal.closed()
    assert not journal.unfinished


def test_every_entry_is_in_the_cluster_too_and_holds_no_secret(tmp_path: Path) -> None:
    """Each under a key of its own, whoever writes it; what only this host can use stays here."""
    first, kept = journal_of(tmp_path)
    second = Journal(first.path, first.copy)
    first.opened("/root/kubeconfig", "prod", lab=False, control_namespace="default", facts="/root/facts.toml")
    first.cordon("node-a")
    second.cordon("node-b")
    second.uncordoned("node-b")
    assert len(kept.data) == 4
    assert "/root" not in json.dumps(kept.data)
    from_elsewhere = Journal(copy=first.copy)
    assert from_elsewhere.left_anywhere.names("cordon") == ["node-a"]
    assert from_elsewhere.run_id == "run"
    assert from_elsewhere.opening["host"]
    assert first.opening["facts"] == "/root/facts.toml"


def test_what_the_cluster_does_not_keep_is_not_done(tmp_path: Path) -> None:
    """And taken back, so that nobody's own cordon is taken for it later."""
    journal, kept = journal_of(tmp_path)
    kept.away = True
    with pytest.raises(ApiError):
        journal.cordon("node-a")
    assert not journal.left
    kept.away = False
    journal.cordon("node-a")
    assert journal.left_anywhere.names("cordon") == ["node-a"]


def test_what_the_disk_does_not_keep_is_not_done_but_can_be_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done before is healed all the same, and known to be in memory and in the cluster."""
    journal, _ = journal_of(tmp_path)
    journal.cordon("node-a")
    with monkeypatch.context() as patched:
        without_disk(patched)
        with pytest.raises(OSError, match="No space"):
            journal.cordon("node-b")
        journal.uncordoned("node-a")
    assert journal.left.names("cordon") == ["node-a"]
    assert not journal.left_anywhere


def test_a_line_that_a_full_disk_has_cut_takes_no_other_along(tmp_path: Path) -> None:
    journal = Journal.of(tmp_path / "run")
    journal.cordon("node-a")
    assert journal.path is not None
    with journal.path.open("a") as file:
        file.write('{"do": "cord')
    journal.cordon("node-b")
    assert journal.cordoned == ["node-a", "node-b"]
    assert parsed("[]") is None


def test_copies_are_one_journal_in_the_order_of_writing() -> None:
    """Whatever copy an entry is in, and however often; one that was taken back counts nowhere."""
    cordon: dict[str, Any] = {"do": "cordon", "name": "node-a", "id": "w1.1", "t": 1}
    end: dict[str, Any] = {"do": "uncordoned", "name": "node-a", "id": "w2.1", "t": 2}
    void: dict[str, Any] = {"do": "void", "name": "node-a", "id": "w1.1", "t": 3}
    assert united([cordon], [end, cordon]) == [cordon, end]
    assert not Left.of(united([cordon], [end]))
    assert Left.of(united([end], [{**cordon, "t": 3}])).names("cordon") == ["node-a"]
    assert not Left.of(united([cordon, void], [cordon]))


def test_what_was_taken_back_takes_no_earlier_change_along() -> None:
    """The node's first cordon is in force; the second was not made."""
    entries: list[dict[str, Any]] = [
        {"do": "cordon", "name": "node-a", "id": "w1.1"}, {"do": "cordon", "name": "node-a", "id": "w2.1"},
        {"do": "void", "name": "node-a", "id": "w2.1"},
    ]
    assert Left.of(entries).names("cordon") == ["node-a"]


@pytest.mark.parametrize("text", ['{"do": "cordon"}', '{"do": "cordon", "name": ["a"]}', '{"do": ["cordon"]}'])
def test_what_is_no_entry_is_left_out(text: str) -> None:
    """Whoever may write ConfigMaps can write anything among the entries; nobody's cleanup breaks off for it."""
    assert parsed(text) is None


def test_a_run_that_ended_but_left_something_is_unfinished(tmp_path: Path) -> None:
    """Closing the journal does not hide a namespace that could not be deleted."""
    journal = Journal.of(tmp_path / "run")
    journal.opened("kubeconfig", "", lab=False)
    journal.namespace("left")
    journal.closed()
    assert journal.unfinished


def opened_by(path: Path, **changed: object) -> Journal:
    """A journal whose opening says otherwise than this process would."""
    journal = Journal.of(path)
    journal.opened("nowhere", "", lab=True)
    journal.cordon("node-a")
    assert journal.path is not None
    first, *rest = journal.path.read_text().splitlines()
    journal.path.write_text("\n".join([json.dumps({**json.loads(first), **changed}), *rest]) + "\n")
    return journal


def test_a_living_run_is_not_touched_and_a_dead_lab_run_is_closed(tmp_path: Path) -> None:
    """This process is alive, so its run stays; one of a dead process on a lab needs no cluster to be undone."""
    living = opened_by(tmp_path / "living")
    dead = opened_by(tmp_path / "dead", pid=DEAD_PID)
    assert list(undo_dead_runs(tmp_path)) == ["run dead: its lab will be taken down whole"]
    assert living.unfinished
    assert not dead.unfinished


def test_a_step_of_the_wall_clock_kills_no_run(tmp_path: Path) -> None:
    """When a process was born, in seconds since 1970, is reckoned from a boot that a step of the clock moves."""
    opened_by(tmp_path / "living", born=psutil.Process().create_time() + 3600)
    assert list(dead_journals(tmp_path)) == []


def test_of_another_container_s_processes_nobody_here_can_tell(tmp_path: Path) -> None:
    """It may have the same host name and the same directory of records; its pids are its own."""
    boot, _, *rest = process_mark(os.getpid()).split()
    opened_by(tmp_path / "inside", process=" ".join([boot, "pid:[1]", *rest]))
    assert list(dead_journals(tmp_path)) == []
    opened_by(tmp_path / "rebooted", process=" ".join(["another-boot", "pid:[1]", *rest]))
    assert [name for name, _ in dead_journals(tmp_path)] == ["rebooted"]


def test_of_another_host_s_processes_nobody_here_can_tell(tmp_path: Path) -> None:
    """A directory of records may be shared; only the cluster knows whether such a run lives."""
    opened_by(tmp_path / "elsewhere", pid=DEAD_PID, host="another")
    assert list(dead_journals(tmp_path)) == []


def test_another_cluster_is_not_taken_for_the_run_s(tmp_path: Path) -> None:
    """A kubeconfig's default context may have been changed since; its nodes may have the same names."""
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
              "clusters": [{"name": "k", "cluster": {"server": "https://new.example:6443"}}],
              "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]}
    (tmp_path / "config").write_text(json.dumps(config))
    opened = {"kubeconfig": str(tmp_path / "config"), "context": ""}
    assert cluster_of(opened).server == "https://new.example:6443"
    with pytest.raises(CannotRunError, match=r"was on https://old.example:6443"):
        cluster_of({**opened, "server": "https://old.example:6443"})
