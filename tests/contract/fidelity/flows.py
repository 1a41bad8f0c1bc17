"""What a machine goes through, recorded and in the lab: start, eviction with its migration, migration, deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from drainproof.wait import Deadline
from tests.contract.fidelity import recorded, tracks, wire
from tests.contract.fidelity.ground import HOME, Ground
from tests.contract.fidelity.identities import Identities
from tests.contract.fidelity.recorded import Line
from tests.contract.fidelity.replay import Compared, replay
from tests.contract.fidelity.shapes import Reply
from tests.contract.server import pause

TOPICS = ("start", "eviction", "migration", "deletion")
SCALE = 0.3
"""How long what a node does lasts, of what was recorded: long enough for evictions to come in between."""
NAME = "d-ev"
_CUSTOM = f"/apis/kubevirt.io/v1/namespaces/{HOME}"
_STREAMS = {
    "vm": f"{_CUSTOM}/virtualmachines", "vmi": f"{_CUSTOM}/virtualmachineinstances",
    "vmim": f"{_CUSTOM}/virtualmachineinstancemigrations", "pods": f"/api/v1/namespaces/{HOME}/pods",
    "events": f"/api/v1/namespaces/{HOME}/events", "nodes": "/api/v1/nodes",
}
_PIECES = {
    "start": ("drain", 880, 945), "eviction": ("drain", 953, 1062), "migration": ("migration", 17, 106),
    "deletion": ("drain", 1153, 1187),
}
"""Where each flow was recorded, of one machine each time: d-ev, and vm-a for the migration."""
CREATED = 880
_REQUESTS = (*range(946, 953), *range(954, 958))
"""Recorded evictions that are wrong in themselves or only asked for: they leave the machine where it is."""
_POD = "virt-launcher-d-ev-m4mr2"
_EVICTED = (201, 429)
"""Evictions that are wrong in themselves were recorded among the others."""
_STEP_SECONDS = 30.0
_BETWEEN_SECONDS = 0.2
_QUIET_SECONDS = 1.5
"""What follows the end of a flow is waited for so long: finalizers, events, the end of the old pod."""


@dataclass
class Watched:
    """What the streams of the lab have told so far; it grows."""

    seen: list[tracks.Seen] = field(default_factory=list)


def compared(ground: Ground, folder: Path) -> Iterator[Compared]:
    """Let one machine of the lab go through all flows, and compare the order of each with the recorded one."""
    drained = list(recorded.lines(folder, "drain"))
    pieces = {"drain": drained, "migration": list(recorded.lines(folder, "migration"))}
    body = next(line for line in drained if line["n"] == CREATED)["request"]["body"]
    steps: dict[str, Callable[[Ground], list[str]]] = {
        "start": lambda lab: start(lab, body), "eviction": _evict, "migration": _migrate, "deletion": _delete,
    }
    with watching(ground) as watched:
        for flow in TOPICS:
            begun = len(watched.seen)
            answers = steps[flow](ground)
            pause(_QUIET_SECONDS)
            topic, first, last = _PIECES[flow]
            lines = [line for line in pieces[topic] if first <= line["n"] <= last]
            expected, found = told(lines, (NAME, "vm-a")), tracks.tracks(without_nodes(watched.seen[begun:]))
            if answers:
                expected["answers"], found["answers"] = _answers(lines), answers
            yield from in_order(flow, expected, found)
            if flow == "start":
                yield from _refused(ground, folder)


def _refused(ground: Ground, folder: Path) -> Iterator[Compared]:
    """Send the evictions again that evict nothing."""
    identities = Identities()
    identities.know(_POD, _pods(ground)[0])
    chosen = [one for one in recorded.exchanges(folder, "drain") if one.number in _REQUESTS]
    yield from replay(ground, chosen, identities)


def without_nodes(seen: list[tracks.Seen]) -> list[tracks.Seen]:
    """What is not of nodes: their own status is written every now and then."""
    return [one for one in seen if one[0] != "nodes"]


def in_order(flow: str, expected: dict[str, tracks.Track], found: dict[str, tracks.Track]) -> Iterator[Compared]:
    """Compare every track of which there is something."""
    for name, track in expected.items():
        if track or found[name]:
            yield Compared(f"{flow}:{name}", name, tuple(tracks.differences(track, found[name])))


def told(lines: list[Line], names: tuple[str, ...]) -> dict[str, tracks.Track]:
    """The tracks of what was recorded about things of these names, not about their neighbours."""
    seen = [(line["stream"], line["event"]) for line in lines if line["kind"] == "watch"]
    return tracks.tracks([one for one in seen if _about(one[1]["object"], names)])


def _about(body: Line, names: tuple[str, ...]) -> bool:
    if (body.get("involvedObject") or body)["kind"] == "VirtualMachineInstanceMigration":
        return True
    named = (body.get("involvedObject") or body["metadata"]).get("name", "")
    return any(name in named for name in names)


def _answers(lines: list[Line]) -> list[str]:
    """What each eviction of the recording was answered, with repeats left out."""
    asked = [line for line in lines if line["kind"] == "exchange" and line["case"].startswith("eviction ")]
    replies = [line["response"] for line in asked]
    return _distinct(Reply(one["status"], {}, one["body"]) for one in replies if one["status"] in _EVICTED)


def _distinct(replies: Any) -> list[str]:
    found: list[str] = []
    for reply in replies:
        told = f"{reply.status} {reply.body.get('message', '')}".strip()
        if not found or found[-1] != told:
            found.append(told)
    return found


@contextmanager
def watching(ground: Ground) -> Iterator[Watched]:
    """What the lab tells about machines, their pods and the nodes from now on."""
    watched = Watched()
    for name, path in _STREAMS.items():
        version = ground.call("GET", path).body["metadata"]["resourceVersion"]
        target = f"{path}?watch=true&resourceVersion={version}"
        Thread(target=_follow, args=(ground, name, target, watched), daemon=True).start()
    yield watched


def _follow(ground: Ground, name: str, path: str, watched: Watched) -> None:
    """Read one stream until the lab ends."""
    for event in wire.stream(ground.config, path, ground.tokens["admin"]):
        watched.seen.append((name, event))


def start(ground: Ground, body: Any) -> list[str]:
    ground.call("POST", _STREAMS["vm"], body)
    until(ground, lambda vmi: ready(vmi))
    return []


def _evict(ground: Ground) -> list[str]:
    pod = _pods(ground)[0]
    path = f"{_STREAMS['pods']}/{pod}/eviction"
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": HOME}}
    replies: list[Reply] = []
    deadline = Deadline(_STEP_SECONDS)
    while not deadline.expired and (not replies or replies[-1].status == 429):
        replies.append(ground.call("POST", path, body))
        pause(_BETWEEN_SECONDS)
    return _distinct(replies)


def _migrate(ground: Ground) -> list[str]:
    before = instance(ground)["status"]["nodeName"]
    body = {
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstanceMigration",
        "metadata": {"generateName": "m-"}, "spec": {"vmiName": NAME},
    }
    ground.call("POST", _STREAMS["vmim"], body)
    until(ground, lambda vmi: vmi["status"]["nodeName"] != before and vmi["status"]["migrationState"].get("completed"))
    return []


def _delete(ground: Ground) -> list[str]:
    ground.call("DELETE", f"{_STREAMS['vm']}/{NAME}")
    until(ground, lambda vmi: "status" not in vmi or vmi.get("kind") == "Status")
    return []


def instance(ground: Ground) -> dict[str, Any]:
    found: dict[str, Any] = ground.call("GET", f"{_STREAMS['vmi']}/{NAME}").body
    return found


def ready(vmi: dict[str, Any]) -> bool:
    status = vmi.get("status")
    conditions = status.get("conditions") or [] if isinstance(status, dict) else []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _pods(ground: Ground) -> list[str]:
    items = ground.call("GET", _STREAMS["pods"]).body["items"]
    return [item["metadata"]["name"] for item in items if NAME in item["metadata"]["name"]]


def until(ground: Ground, done: Callable[[dict[str, Any]], Any]) -> None:
    deadline = Deadline(_STEP_SECONDS)
    while not deadline.expired:
        if done(instance(ground)):
            return
        pause(0.05)
    raise AssertionError(f"{NAME} did not get there within {_STEP_SECONDS:g} s, last seen as {instance(ground)}")
