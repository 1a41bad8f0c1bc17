"""Network namespaces by name: made, entered for the length of one call, listed and removed."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pyroute2 import netns

DIRECTORY = Path("/run/netns")

Result = TypeVar("Result")


def create(name: str) -> None:
    """Make the namespace; one that exists already is left as it is, a half-made one is made anew.

    A name that is only a file, with no namespace mounted on it, is what an interrupted creation leaves.
    """
    path = DIRECTORY / name
    if path.exists():
        if path.stat().st_dev != DIRECTORY.stat().st_dev:
            return
        path.unlink()
    netns.create(name)


def remove(name: str) -> None:
    """Take the name away; the kernel frees the namespace once nothing lives in it. An absent name is not an error."""
    path = DIRECTORY / name
    with contextlib.suppress(OSError):
        netns.remove(name)
    with contextlib.suppress(OSError):
        path.unlink()


def named(prefix: str) -> list[str]:
    """The names below /run/netns that begin with the prefix, half-made ones included."""
    if not DIRECTORY.is_dir():
        return []
    return sorted(entry.name for entry in DIRECTORY.iterdir() if entry.name.startswith(prefix))


def inside(name: str, work: Callable[[], Result]) -> Result:
    """Run `work` in the namespace and return its result; an exception of it is raised here.

    A thread of its own enters the namespace, so the rest of the process stays where it is.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            netns.setns(name)
            results.append(work())
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread and raised there
            errors.append(error)

    thread = threading.Thread(target=enter, name=f"netns {name}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
