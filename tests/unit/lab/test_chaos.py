"""What experiments become: durations, selections, packet filter rules, frames that wait."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from lab.chaos import durations
from lab.chaos.delayer import MOST_FRAMES, Delayer
from lab.chaos.experiment import Object
from lab.chaos.rules import DELAY_MAC, DelayedFlow, Injection, Peer, delayed, script
from lab.chaos.selection import select

A, B, C = (Peer(f"10.77.1.1{number}", f"02:00:00:00:00:0{number}") for number in (1, 2, 3))


@pytest.mark.parametrize(("text", "seconds"), [("300ms", 0.3), ("1m30s", 90), ("1.5h", 5400), ("-2s", -2), ("0", 0)])
def test_durations_are_gos(text: str, seconds: float) -> None:
    """Units add up."""
    assert durations.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "s", "1d", "1 s"])
def test_what_go_refuses_is_refused(text: str) -> None:
    """In Go's words."""
    with pytest.raises(ValueError, match="time: invalid duration"):
        durations.seconds(text)


def injection(action: str, direction: str = "to", targets: tuple[Peer, ...] = (B,), **spec: Any) -> Injection:
    return Injection({"action": action, "direction": direction, **spec}, (A,), targets)


def rules(*injections: Injection) -> dict[str, list[str]]:
    """The script's rules by hook."""
    found: dict[str, list[str]] = {}
    hook = ""
    for line in script(injections).splitlines():
        if line.startswith("  chain"):
            hook = line.split()[1]
        elif line.startswith("    ") and "hook" not in line:
            found.setdefault(hook, []).append(line.strip())
    return found


def test_a_partition_cuts_at_its_sources() -> None:
    """What leaves the source's tap and what arrives there, by direction."""
    out = 'iifname "tap*" ip saddr { 10.77.1.11 } ip daddr { 10.77.1.12, 10.77.1.13 } drop'
    into = 'oifname "tap*" ip daddr { 10.77.1.11 } ip saddr { 10.77.1.12, 10.77.1.13 } drop'
    assert rules(injection("partition", "to", (B, C))) == {"prerouting": [out]}
    assert rules(injection("partition", "from", (B, C))) == {"postrouting": [into]}
    assert rules(injection("partition", "both", (B, C))) == {"prerouting": [out], "postrouting": [into]}


def test_a_partition_from_everybody_and_from_outside() -> None:
    """No target means all of the network; an external target is one more address."""
    assert rules(injection("partition", targets=())) == {"prerouting": ['iifname "tap*" ip saddr { 10.77.1.11 } drop']}
    outside = injection("partition", targets=(), externalTargets=["10.77.0.2"])
    assert rules(outside)["prerouting"][0].endswith("ip daddr { 10.77.0.2 } drop")


def test_loss_is_drawn_once_a_frame_at_its_sender() -> None:
    """Both directions are two rules at two senders, none where frames arrive."""
    found = rules(injection("loss", "both", loss={"loss": "2.5"}))
    assert list(found) == ["prerouting"]
    assert [rule.partition(" ip saddr ")[2] for rule in found["prerouting"]] == [
        "{ 10.77.1.11 } ip daddr { 10.77.1.12 } numgen random mod 10000 < 250 drop",
        "{ 10.77.1.12 } ip daddr { 10.77.1.11 } numgen random mod 10000 < 250 drop",
    ]


def test_no_experiment_leaves_no_table() -> None:
    """The script of nothing removes everything."""
    assert script([]) == "add table bridge chaos\ndelete table bridge chaos\n"


def test_delayed_frames_go_by_the_delayer() -> None:
    """The filter leads them there, and the delayer knows where they were going."""
    wanted = injection("delay", "both", delay={"latency": "50ms", "jitter": "5ms"})
    assert rules(wanted)["prerouting"][0].endswith(f"ether daddr set {DELAY_MAC} accept")
    assert delayed([wanted]) == (
        DelayedFlow(A.address, B.address, B.mac, 0.05, 0.005), DelayedFlow(B.address, A.address, A.mac, 0.05, 0.005),
    )


def frame(source: Peer, target: Peer, text: bytes = b"") -> bytes:
    head = bytes.fromhex("02de1a000001" + source.mac.replace(":", "")) + b"\x08\x00" + bytes(12)
    return head + socket.inet_aton(source.address) + socket.inet_aton(target.address) + text


class Line:
    """A delayer on a clock that a test moves."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.now, self.sent = 0.0, list[bytes]()
        self.delayer = Delayer(self.sent.append, lambda: self.now)
        self.delayer.use([DelayedFlow(A.address, B.address, B.mac, 0.1, jitter)])


def test_a_frame_waits_its_time_and_goes_on_to_its_receiver() -> None:
    """In order, with the receiver's own MAC in front, not before it is due."""
    line = Line()
    line.delayer.take(frame(A, B, b"1"))
    line.delayer.take(frame(A, B, b"2"))
    assert line.delayer.release() == pytest.approx(0.1)
    line.now = 0.1
    assert line.delayer.release() is None
    receiver = bytes.fromhex(B.mac.replace(":", ""))
    assert line.sent == [receiver + frame(A, B, text)[6:] for text in (b"1", b"2")]


def test_frames_of_no_flow_and_frames_too_many_are_lost() -> None:
    """The queue is bounded."""
    line = Line()
    line.delayer.take(frame(B, A))
    for _ in range(MOST_FRAMES + 1):
        line.delayer.take(frame(A, B))
    line.now = 1.0
    line.delayer.release()
    assert len(line.sent) == MOST_FRAMES


def pod(name: str, phase: str = "Running", namespace: str = "demo", **labels: str) -> Object:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"metadata": meta, "spec": {"nodeName": "node-a"}, "status": {"phase": phase}}


PODS = [pod("one", app="x"), pod("two", app="x"), pod("done", "Succeeded", app="x"), pod("far", namespace="other")]
NODES = [{"metadata": {"name": "node-a", "labels": {"zone": "1"}}}]


@pytest.mark.parametrize(("selector", "names"), [
    ({}, ["one", "two"]),
    ({"labelSelectors": {"app": "y"}}, []),
    ({"namespaces": ["other"]}, ["far"]),
    ({"pods": {"demo": ["two"]}}, ["two"]),
    ({"nodeSelectors": {"zone": "1"}, "fieldSelectors": {"metadata.name": "one"}}, ["one"]),
    ({"nodes": ["node-b"]}, []),
    ({"expressionSelectors": [{"key": "app", "operator": "In", "values": ["x"]}]}, ["one", "two"]),
])
def test_selection(selector: Object, names: list[str]) -> None:
    """Living pods of the experiment's own namespace unless it says otherwise."""
    found = select({"mode": "all", "selector": selector}, "demo", PODS, NODES)
    assert [entry["metadata"]["name"] for entry in found] == names


@pytest.mark.parametrize(("mode", "value", "count"), [("one", "", 1), ("fixed", "5", 2), ("fixed-percent", "50", 1)])
def test_modes(mode: str, value: str, count: int) -> None:
    """How many of those that match."""
    assert len(select({"mode": mode, "value": value, "selector": {}}, "demo", PODS, NODES)) == count
