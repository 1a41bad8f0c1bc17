"""What network experiments become: packet filter rules at the guests' taps, and flows for the delayer.

The rules name addresses, and every node's bridge has all of them; a guest that is migrated meets the same rules where
it arrives. They stand at the taps only, so each frame meets a rule for its sender once, and none touches a node itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.agent.network import TAP_PREFIX
from lab.chaos import durations
from lab.chaos.experiment import Object

TABLE = "chaos"
DELAY_MAC = "02:de:1a:00:00:01"
"""Where the filter sends frames that have to wait; each bridge leads this address to its delayer."""
LOSS_STEPS = 10000


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Somebody on the lab's network; the MAC is empty for what is no guest."""

    address: str
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Injection:
    """A network experiment with its selectors resolved."""

    spec: Object
    sources: tuple[Peer, ...]
    targets: tuple[Peer, ...]


@dataclass(frozen=True, slots=True, order=True)
class DelayedFlow:
    """Frames from one address to another wait; `mac` is where they go afterwards."""

    source: str
    target: str
    mac: str
    seconds: float
    jitter: float


def script(injections: Iterable[Injection]) -> str:
    """The nftables script that replaces all rules of all experiments in one transaction."""
    leaving: list[str] = []
    arriving: list[str] = []
    for injection in injections:
        left, arrived = _rules(injection)
        leaving += left
        arriving += arrived
    chains = "".join(
        f"  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n"
        + "".join(f"    {rule}\n" for rule in rules) + "  }\n"
        for hook, rules in (("prerouting", leaving), ("postrouting", arriving)) if rules
    )
    replaced = f"add table bridge {TABLE}\ndelete table bridge {TABLE}\n"
    return replaced + (f"table bridge {TABLE} {{\n{chains}}}\n" if chains else "")


def delayed(injections: Iterable[Injection]) -> tuple[DelayedFlow, ...]:
    """What the delayers have to know; of two experiments that delay the same flow, the first counts."""
    flows: dict[tuple[str, str], DelayedFlow] = {}
    for injection in injections:
        if injection.spec["action"] != "delay":
            continue
        delay = injection.spec["delay"]
        latency, jitter = (durations.seconds(delay.get(key) or "0s") for key in ("latency", "jitter"))
        for senders, receivers in _ways(injection):
            for sender in senders:
                for receiver in receivers:
                    flow = DelayedFlow(sender.address, receiver.address, receiver.mac, latency, jitter)
                    flows.setdefault((sender.address, receiver.address), flow)
    return tuple(sorted(flows.values()))


def _ways(injection: Injection) -> Sequence[tuple[Sequence[Peer], Sequence[Peer]]]:
    """(senders, receivers) in the experiment's direction."""
    there, back = (injection.sources, injection.targets), (injection.targets, injection.sources)
    return {"to": [there], "from": [back], "both": [there, back]}[injection.spec.get("direction") or "to"]


def _rules(injection: Injection) -> tuple[list[str], list[str]]:
    """The rules for frames that leave a guest and for those that arrive at one."""
    spec = injection.spec
    if spec["action"] == "partition":
        return _partition(injection)
    if spec["action"] == "loss":
        count = round(float(spec["loss"]["loss"]) / 100 * LOSS_STEPS)
        verdict = f"numgen random mod {LOSS_STEPS} < {count} drop"
    else:
        verdict = f"ether daddr set {DELAY_MAC} accept"
    return [_leaving(senders, _addresses(receivers), verdict) for senders, receivers in _ways(injection)], []


def _partition(injection: Injection) -> tuple[list[str], list[str]]:
    """Cut at the sources themselves, like Chaos Mesh, so that targets outside of the guests are cut off too."""
    direction = injection.spec.get("direction") or "to"
    others = [*_addresses(injection.targets), *(injection.spec.get("externalTargets") or [])]
    leaving = [_leaving(injection.sources, others, "drop")] if direction in ("to", "both") else []
    arriving = [_arriving(injection.sources, others, "drop")] if direction in ("from", "both") else []
    return leaving, arriving


def _addresses(peers: Sequence[Peer]) -> list[str]:
    return [peer.address for peer in peers]


def _leaving(senders: Sequence[Peer], receivers: Sequence[str], verdict: str) -> str:
    others = f" ip daddr {_set(receivers)}" if receivers else ""
    return f'iifname "{TAP_PREFIX}*" ip saddr {_set(_addresses(senders))}{others} {verdict}'


def _arriving(receivers: Sequence[Peer], senders: Sequence[str], verdict: str) -> str:
    others = f" ip saddr {_set(senders)}" if senders else ""
    return f'oifname "{TAP_PREFIX}*" ip daddr {_set(_addresses(receivers))}{others} {verdict}'


def _set(addresses: Sequence[str]) -> str:
    return "{ " + ", ".join(dict.fromkeys(addresses)) + " }"
