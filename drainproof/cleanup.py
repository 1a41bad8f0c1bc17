"""Undoes what killed runs have left: their observers are ended by pid, their clusters restored from their journals."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

from drainproof.api import Cluster
from drainproof.journal import Journal
from drainproof.wait import Deadline

RUN_MARK = "DRAINPROOF_RUN"
"""Environment variable that names the run an observer belongs to; it survives the death of the harness."""
UNDO_SECONDS = 180


def undo_dead_runs(runs: Path) -> Iterator[str]:
    """Undo every run whose process has died before it was done; yields what was done, in sentences.

    A cluster that cannot be reached raises ApiError or CannotRunError, and its run stays to be undone later.
    """
    for directory in sorted(runs.iterdir()) if runs.is_dir() else ():
        journal = Journal.of(directory)
        if journal.unfinished and not _is_alive(journal):
            yield from (f"run {directory.name}: {sentence}" for sentence in _undo(directory.name, journal))


def end_observers(run_id: str) -> list[int]:
    """Kill the processes that bear a run's mark; returns their pids."""
    ended = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(RUN_MARK) == run_id and process.pid != psutil.Process().pid:
                process.send_signal(signal.SIGKILL)
                ended.append(process.pid)
    return ended


def _undo(run_id: str, journal: Journal) -> Iterator[str]:
    if ended := end_observers(run_id):
        yield f"observers {', '.join(map(str, ended))} ended"
    opened = journal.opening
    if opened["lab"]:
        journal.abandon()
        yield "its lab will be taken down whole"
        return
    kubeconfig = Path(opened["kubeconfig"]) if opened["kubeconfig"] else None
    yield from journal.undo(Cluster.connect(kubeconfig, opened["context"] or None), Deadline(UNDO_SECONDS))


def _is_alive(journal: Journal) -> bool:
    opened = journal.opening
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(opened["pid"]).create_time() == opened["born"])
    return False
