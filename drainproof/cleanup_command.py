"""What `drainproof cleanup` does: it says what dead runs have left, then undoes it, from any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from drainproof.api import Cluster
from drainproof.cleanup import NOTHING, Leavings, leavings_here, leavings_in
from drainproof.errors import ApiError, CannotRunError
from drainproof.target import Target, read_target, target_kind

Say = Callable[[str], None]


def clean_up(
    runs: Path, target: str, facts: str, *, dry_run: bool, confirm: Callable[[], bool], say: Say, trouble: Say
) -> bool:
    """Undo what dead runs have left; whether nothing of it is left.

    `runs` is the directory of local records; `target`, `kubeconfig[:CONTEXT]` or empty, a cluster that is to be looked
    at besides, whose `facts` say where runs keep their journals, and how nodes are powered on and storage is resumed.
    `confirm` is asked before anything is done. Raises CannotRunError when the cluster cannot be looked at.
    """
    found = leavings_here(runs, facts, labs=not target)
    if target:
        found = _with_cluster(found, target, facts)
    for sentence in _told(found, dry_run=dry_run):
        say(sentence)
    for sentence in found.troubles:
        trouble(sentence)
    if dry_run or not found.steps:
        return not found.troubles
    if not confirm():
        trouble("nothing was done")
        return False
    return found.undone(say, trouble)


def _told(found: Leavings, *, dry_run: bool) -> Iterator[str]:
    yield from found.alive
    yield from (f"run {run_id}: {'would' if dry_run else 'will'} {step.will}" for run_id, step in found.steps)
    if not found.steps and not found.troubles:
        yield NOTHING


def _with_cluster(found: Leavings, target: str, facts: str) -> Leavings:
    kind, context = target_kind(target)
    if kind != "kubeconfig":
        raise CannotRunError(f"What runs have left in a cluster is found by a kubeconfig[:CONTEXT], not by {target!r}.")
    known = read_target(Path(facts)) if facts else Target(name="cleanup")
    cluster = Cluster.connect(Path(known.kubeconfig) if known.kubeconfig else None, context or known.context or None)
    try:
        there = leavings_in(cluster, known.control_namespace, facts, found.runs)
    except ApiError as error:
        raise CannotRunError(f"What the cluster at {cluster.server} holds of runs cannot be seen: {error}") from error
    return Leavings([*found.steps, *there.steps], there.alive, found.troubles)
