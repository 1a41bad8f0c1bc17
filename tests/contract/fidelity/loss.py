"""A node that falls silent and is declared out of service, recorded and in the lab: what follows, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drainproof.wait import Deadline
from tests.contract.fidelity import flows, recorded, tracks
from tests.contract.fidelity.ground import NODES, Ground
from tests.contract.fidelity.replay import Compared
from tests.contract.server import pause

TOPIC, OUT_OF_SERVICE = "node-loss", "out-of-service"
GRACE_SECONDS = 4.0
"""After how long without a sign of life a node of the lab is unknown; 50 s were recorded."""
_FIRST, _LAST = 175, 206
"""The recorded lines from the loss of power to the second taint; the eviction of the pods came 300 s later."""
_TAINTED, _SCHEDULING = 368, 430
"""The recorded lines from the out-of-service taint to the new instance; here no node is left on which it could run."""
_TAINT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
_RECORDED = ("nf-lm", "w2")
_LONGEST_SECONDS = 30.0
_QUIET_SECONDS = 1.0


def compared(ground: Ground, folder: Path) -> Iterator[Compared]:
    """Start a machine, let every node fall silent, give its node up, and compare the order of what follows each."""
    created = next(line for line in recorded.lines(folder, "drain") if line["n"] == flows.CREATED)
    lines = list(recorded.lines(folder, "node-failure"))
    flows.start(ground, created["request"]["body"])
    node = flows.instance(ground)["status"]["nodeName"]
    pause(_QUIET_SECONDS)
    with flows.watching(ground) as watched:
        ground.silence_nodes()
        _until_tainted(ground, node)
        pause(_QUIET_SECONDS)
        given_up = len(watched.seen)
        _give_up(ground, node)
        pause(_QUIET_SECONDS)
    silent = [other for other in NODES if other != node]
    for topic, (first, last), part in (
        (TOPIC, (_FIRST, _LAST), watched.seen[:given_up]),
        (OUT_OF_SERVICE, (_TAINTED, _SCHEDULING), flows.without_nodes(watched.seen[given_up:])),
    ):
        expected = flows.told([line for line in lines if first <= line["n"] <= last], _RECORDED)
        seen = [one for one in part if one[1]["object"]["metadata"]["name"] not in silent]
        yield from flows.in_order(topic, expected, tracks.tracks(seen))


def _give_up(ground: Ground, node: str) -> None:
    """Taint the node as out of service and wait until the machine has a new instance that is to be scheduled."""
    before, path = flows.instance(ground)["metadata"]["uid"], f"/api/v1/nodes/{node}"
    taints = ground.call("GET", path).body["spec"].get("taints") or []
    patch = {"spec": {"taints": [*taints, _TAINT]}}
    ground.call("PATCH", path, patch, "application/merge-patch+json")
    flows.until(ground, lambda found: _scheduling(found, before))


def _scheduling(found: dict[str, Any], before: str) -> bool:
    is_new = found["kind"] != "Status" and found["metadata"]["uid"] != before
    return is_new and (found.get("status") or {}).get("phase") == "Scheduling"


def _until_tainted(ground: Ground, node: str) -> None:
    deadline = Deadline(_LONGEST_SECONDS)
    while not deadline.expired:
        taints = ground.call("GET", f"/api/v1/nodes/{node}").body["spec"].get("taints") or []
        if any(taint["effect"] == "NoExecute" for taint in taints):
            return
        pause(0.05)
    raise AssertionError(f"{node} had no NoExecute taint within {_LONGEST_SECONDS:g} s of silence")
