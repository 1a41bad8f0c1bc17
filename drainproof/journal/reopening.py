"""A journal as another process on the run's host finds it: by its file, which says where its copy is."""

from __future__ import annotations

from pathlib import Path

from drainproof.api import Cluster
from drainproof.errors import CannotRunError
from drainproof.journal import Journal
from drainproof.journal.copy import ClusterCopy
from drainproof.journal.entries import Entry


def reopened(path: Path) -> Journal:
    """The journal of a file with the copy that its cluster keeps; without one where the cluster cannot be had."""
    alone = Journal(path)
    opened = alone.opening
    if not opened.get("control_namespace"):
        return alone
    try:
        cluster = cluster_of(opened)
    except CannotRunError:
        return alone
    return Journal(path, ClusterCopy(cluster, str(opened["control_namespace"]), path.parent.name))


def cluster_of(opened: Entry) -> Cluster:
    """The cluster that a run was on, by the first entry of its journal.

    Raises CannotRunError when it cannot be had, or when its kubeconfig leads to another by now.
    """
    kubeconfig = Path(opened["kubeconfig"]) if opened["kubeconfig"] else None
    cluster = Cluster.connect(kubeconfig, opened["context"] or None)
    if opened.get("server", cluster.server) != cluster.server:
        raise CannotRunError(
            f"The run was on {opened['server']}, and {kubeconfig or 'the default kubeconfig'} leads to "
            f"{cluster.server} now; set KUBECONFIG, or clean up with --target kubeconfig:CONTEXT."
        )
    return cluster
