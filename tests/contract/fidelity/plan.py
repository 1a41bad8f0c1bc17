"""What of the recordings is sent again as it was, and what a machine must have become before it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drainproof.wait import Deadline
from tests.contract.fidelity import recorded, watching
from tests.contract.fidelity.ground import HOME, Ground
from tests.contract.fidelity.identities import Identities
from tests.contract.fidelity.recorded import Exchange
from tests.contract.fidelity.replay import Compared, replay
from tests.contract.server import pause

TOPICS = ("discovery", "crud", "vm-lifecycle", watching.TOPIC)
"""The recordings that are sent again as they are."""
_PHASE_SECONDS = 20.0

_MACHINES: tuple[tuple[int, int, str], ...] = (
    (15, 37, ""), (96, 116, "Running"), (356, 356, "Running"), (358, 369, "Running"), (397, 398, "-"),
    (527, 527, ""), (587, 591, "Running"), (758, 759, "Running"), (787, 788, "-"), (848, 848, "Running"),
    (879, 880, "-"), (940, 945, "Running"), (972, 973, "Running"), (1027, 1032, "Running"), (1056, 1073, "-"),
    (1075, 1076, ""), (1137, 1137, "Running"), (1165, 1165, "-"), (1794, 2055, ""),
)
"""Lines of vm-lifecycle from and to, and the phase in which vm1 has to be before: of a stopped machine and of one that
runs, until it is stopped; then under every run strategy; then the specs that are refused or taken. What lies between
changes a guest, which a simulated node has not, or needs disks and images of the recorded cluster."""
_GUEST = frozenset({117, 119, 127, 128, 129, 131, 140, 142, 143, 145, 146, 148})


def compared(ground: Ground, folder: Path, topic: str) -> Iterator[Compared]:
    """Send the requests of one recording again and compare every answer."""
    if topic == watching.TOPIC:
        yield from watching.compared(ground, folder)
        return
    everything = recorded.exchanges(folder, topic)
    identities = Identities()
    if topic != "vm-lifecycle":
        yield from replay(ground, everything, identities)
        return
    for first, last, phase in _MACHINES:
        if phase:
            _wait_for(ground, phase)
        chosen: list[Exchange] = [one for one in everything if first <= one.number <= last]
        yield from replay(ground, [one for one in chosen if one.number not in _GUEST], identities)


def _wait_for(ground: Ground, phase: str) -> None:
    """Until vm1 runs, or until its instance is gone: "-"."""
    path = f"/apis/kubevirt.io/v1/namespaces/{HOME}/virtualmachineinstances/vm1"
    deadline = Deadline(_PHASE_SECONDS)
    while not deadline.expired:
        found = ground.call("GET", path)
        if _is_in(found.body, phase) if found.status == 200 else phase == "-":
            return
        pause(0.05)
    raise AssertionError(f"vm1 did not become {phase} within {_PHASE_SECONDS} s: {found.body}")


def _is_in(instance: Any, phase: str) -> bool:
    """Whether it is in a phase to stay: an instance that is being deleted keeps its phase for a while."""
    deleted = "deletionTimestamp" in instance["metadata"]
    return not deleted and (instance.get("status") or {}).get("phase") == phase
