"""A node that falls silent, recorded and in the lab: what is said of it, its pods and its machine, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drainproof.wait import Deadline
from tests.contract.fidelity import flows, recorded, tracks
from tests.contract.fidelity.ground import NODES, Ground
from tests.contract.fidelity.replay import Compared
from tests.contract.server import pause

TOPIC = "node-loss"
GRACE_SECONDS = 4.0
"""After how long without a sign of life a node of the lab is unknown; 50 s were recorded."""
_FIRST, _LAST = 175, 206
"""The recorded lines from the loss of power to the second taint; the eviction of the pods came 300 s later."""
_RECORDED = ("nf-lm", "w2")
_LONGEST_SECONDS = 30.0
_QUIET_SECONDS = 1.0


def compared(ground: Ground, folder: Path) -> Iterator[Compared]:
    """Start a machine, let every node fall silent, and compare the order of what follows."""
    created = next(line for line in recorded.lines(folder, "drain") if line["n"] == flows.CREATED)
    lines = [line for line in recorded.lines(folder, "node-failure") if _FIRST <= line["n"] <= _LAST]
    flows.start(ground, created["request"]["body"])
    node = flows.instance(ground)["status"]["nodeName"]
    pause(_QUIET_SECONDS)
    with flows.watching(ground) as watched:
        ground.silence_nodes()
        _until_tainted(ground, node)
        pause(_QUIET_SECONDS)
    silent = [other for other in NODES if other != node]
    seen = [one for one in watched.seen if one[1]["object"]["metadata"]["name"] not in silent]
    yield from flows.in_order(TOPIC, flows.told(lines, _RECORDED), tracks.tracks(seen))


def _until_tainted(ground: Ground, node: str) -> None:
    deadline = Deadline(_LONGEST_SECONDS)
    while not deadline.expired:
        taints = ground.call("GET", f"/api/v1/nodes/{node}").body["spec"].get("taints") or []
        if any(taint["effect"] == "NoExecute" for taint in taints):
            return
        pause(0.05)
    raise AssertionError(f"{node} had no NoExecute taint within {_LONGEST_SECONDS:g} s of silence")
