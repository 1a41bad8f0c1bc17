"""The journal: what a killed or broken run has left is known, and undone once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from drainproof.api import VOLUME_SNAPSHOT_CONTENTS, Cluster, Object, Resource
from drainproof.cleanup import undo_dead_runs
from drainproof.journal import Journal
from drainproof.wait import Deadline
from tests.unit.harness.fakes import FakeClock

DEAD_PID = 2**22 + 1
"""Above the largest pid that Linux gives out."""


class Undone:
    """A cluster that notes what is undone and knows nothing else."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.objects: dict[str, Object] = {}
        self.contents: list[Object] = []

    def patch(self, resource: Resource, name: str, patch: dict[str, Any], namespace: str | None = None) -> Object:
        self.calls.append(f"patch {resource.plural} {name} {json.dumps(patch)}")
        return {}

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        self.calls.append(f"delete {resource.plural} {name}")

    def items(self, resource: Resource) -> list[Object]:
        return self.contents if resource == VOLUME_SNAPSHOT_CONTENTS else []

    def at(self, path: str) -> Object | None:
        return self.objects.get(path)

    def remove(self, path: str) -> None:
        self.calls.append(f"remove {path}")

    def find(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        return None


def test_only_what_is_left_is_undone_and_only_once(tmp_path: Path) -> None:
    """A node that was uncordoned and a namespace that was deleted are left alone."""
    journal = Journal.of(tmp_path / "run")
    journal.opened("kubeconfig", "", lab=False)
    for node in ("node-a", "node-b"):
        journal.cordon(node)
    journal.uncordoned("node-a")
    journal.namespace("gone")
    journal.deleted("gone")
    journal.namespace("left")
    assert journal.unfinished
    cluster = Undone()
    done = journal.undo(cast(Cluster, cluster), Deadline(5, FakeClock()))
    assert cluster.calls == [
        'patch nodes node-b {"spec": {"unschedulable": null}}', "delete namespaces left",
    ]
    assert done == ["node node-b uncordoned", "namespace left deleted"]
    assert not journal.unfinished
    assert not journal.undo(cast(Cluster, Undone()), Deadline(5, FakeClock()))


def test_a_claim_that_another_run_has_taken_over_is_left_to_it(tmp_path: Path) -> None:
    """Its name is the same; objects that nobody claims are the run's own, and what is gone needs nothing."""
    journal, cluster = Journal.of(tmp_path / "run-1"), Undone()
    journal.opened("kubeconfig", "", lab=False)
    for path in ("/mine", "/theirs", "/policy", "/gone"):
        journal.creating(path)
    cluster.objects = {
        "/mine": {"spec": {"holderIdentity": "run-1/drain"}}, "/theirs": {"spec": {"holderIdentity": "run-12/drain"}},
        "/policy": {"spec": {}},
    }
    journal.undo(cast(Cluster, cluster), Deadline(5, FakeClock()))
    assert cluster.calls == ["remove /mine", "remove /policy"]
    assert not journal.unfinished


def test_a_run_that_ended_but_left_something_is_unfinished(tmp_path: Path) -> None:
    """Closing the journal does not hide a namespace that could not be deleted."""
    journal = Journal.of(tmp_path / "run")
    journal.opened("kubeconfig", "", lab=False)
    journal.namespace("left")
    journal.closed()
    assert journal.unfinished


def test_a_living_run_is_not_touched_and_a_dead_lab_run_is_closed(tmp_path: Path) -> None:
    """This process is alive, so its run stays; one of a dead process on a lab needs no cluster to be undone."""
    living, dead = Journal.of(tmp_path / "living"), Journal.of(tmp_path / "dead")
    living.opened("nowhere", "", lab=False)
    dead.opened("nowhere", "", lab=True)
    dead.cordon("node-a")
    entry = json.loads(dead.path.read_text().splitlines()[0]) | {"pid": DEAD_PID}
    dead.path.write_text("\n".join([json.dumps(entry), *dead.path.read_text().splitlines()[1:]]) + "\n")
    assert list(undo_dead_runs(tmp_path)) == ["run dead: its lab will be taken down whole"]
    assert living.unfinished
    assert not dead.unfinished


def test_a_killed_run_s_snapshots_are_not_retained(tmp_path: Path) -> None:
    """Their contents are told to give up what they hold before their namespace goes."""
    journal = Journal.of(tmp_path / "run")
    journal.opened("kubeconfig", "", lab=False)
    journal.namespace("left")
    cluster = Undone()
    spec = {"deletionPolicy": "Retain", "volumeSnapshotRef": {"namespace": "left"}}
    cluster.contents = [{"metadata": {"name": "kept"}, "spec": spec}]
    journal.undo(cast(Cluster, cluster), Deadline(5, FakeClock()))
    patched = 'patch volumesnapshotcontents kept {"spec": {"deletionPolicy": "Delete"}}'
    assert cluster.calls == [patched, "delete namespaces left"]
