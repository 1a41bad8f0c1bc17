"""Claim 1: at no observed moment did two virtual machines of the portal share a node."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from drainproof.record import Event
from reports.evidence import Evidence
from reports.spans import Span
from reports.verdict import Claim, Part, Verdict, sum_up
from reports.watches import SOURCE, blind

ID = "placement.separate-nodes"
TITLE = "The virtual machines never shared a node, at any observed moment"
VMI = "vmi"
GONE = ("Succeeded", "Failed")


def check(evidence: Evidence) -> Claim:
    """Replay the watch of VirtualMachineInstances and look for two on one node."""
    changes = _changes(evidence)
    history = list(_history(evidence, changes))
    names = [vm.name for vm in evidence.vms]
    parts = [_pair(evidence, history, first, second) for first, second in combinations(names, 2)]
    parts += [part for name in names if (part := _unseen(history, name))]
    seen = sum(event.kind == VMI and event.t_ns in evidence.window.span for event in changes)
    good = f"{len(names)} virtual machines on {len(names)} different nodes through {seen} observed changes"
    trouble = blind(evidence, VMI, evidence.window.span) or evidence.window.incomplete
    summary = sum_up(parts, lambda _: good, trouble)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in parts),
        limit=0,
        unit="shared moments",
        detection="the watch delivers every change of a VMI's node; a change that the API never stored is not seen",
        reason=summary.reason,
        evidence=("events.jsonl: watch/vmi, watch/started, watch/lost, portal/deployed",),
        hint="Check the required anti-affinity of the VirtualMachines." if summary.verdict is Verdict.FAIL else "",
        parts=summary.parts,
    )


def _changes(evidence: Evidence) -> list[Event]:
    """What the watch told of the portal's VMs up to the end of the window, and when it broke, by time."""
    ours = {f"{evidence.namespace}/{vm.name}" for vm in evidence.vms} | {vm.name for vm in evidence.vms}
    told = [event for event in evidence.of_kind(SOURCE, VMI) if event.object in ours]
    broken = [event for event in evidence.of_kind(SOURCE, "lost") if event.object in (VMI, "")]
    found = [event for event in (*told, *broken) if event.t_ns <= evidence.window.span.end]
    return sorted(found, key=lambda event: event.t_ns)


def _history(evidence: Evidence, changes: list[Event]) -> Iterator[tuple[int, dict[str, str]]]:
    """The node of each placed VM after each change.

    A watch that broke lists all of them anew, one after the other: until then nobody knows where the others are.
    """
    nodes: dict[str, str] = {}
    for event in changes:
        if event.kind != VMI:
            nodes.clear()
        else:
            name = event.object.removeprefix(f"{evidence.namespace}/")
            nodes.pop(name, None)
            if node := _node(event):
                nodes[name] = node
        yield event.t_ns, dict(nodes)


def _node(event: Event) -> str:
    if event.data.get("event") == "DELETED" or event.data.get("phase") in GONE:
        return ""
    return str(event.data.get("node") or "")


def _pair(evidence: Evidence, history: list[tuple[int, dict[str, str]]], first: str, second: str) -> Part:
    window = evidence.window.span
    shared: list[tuple[Span, str]] = []
    ends = [time for time, _ in history[1:]] + [window.end]
    together = ""
    for (time, nodes), end in zip(history, ends, strict=True):
        node = nodes.get(first, "")
        here = node if node and node == nodes.get(second) else ""
        if end <= window.begin:
            continue
        span = Span(time, end).within(window)
        if here and here == together:
            shared[-1] = (Span(shared[-1][0].begin, span.end), here)
        elif here:
            shared.append((span, here))
        together = here
    if not shared:
        return Part(object=f"{first}, {second}", verdict=Verdict.PASS, measured=0, reason="never on one node")
    span, node = shared[0]
    seconds = sum(span.seconds for span, _ in shared)
    moment = evidence.at(span.begin)
    return Part(
        object=f"{first}, {second}",
        verdict=Verdict.FAIL,
        measured=len(shared),
        at=moment,
        reason=f"both on {node} from {moment} on, for {seconds:.3f} s in all",
        facts={"shared_s": seconds},
    )


def _unseen(history: list[tuple[int, dict[str, str]]], name: str) -> Part | None:
    if any(name in nodes for _, nodes in history):
        return None
    return Part(object=name, verdict=Verdict.UNKNOWN, reason="the watch never saw it on a node")
