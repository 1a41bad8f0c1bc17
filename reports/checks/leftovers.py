"""Claim 8: the cluster was left as it was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from drainproof.record import Event
from reports.evidence import Evidence
from reports.verdict import Claim, MissingEvidenceError, Part, Summary, Verdict, sum_up

ID = "cluster.restored"
TITLE = "The cluster was left as it was found"
RETAINED = "VolumeSnapshotContent"
"""The kind that outlives its namespace where a snapshot class says Retain; `drainproof cleanup` knows none of them."""


def check(evidence: Evidence) -> Claim:
    """Compare the snapshots that were taken before the deployment and after the teardown."""
    before, after = _snapshot(evidence, "before"), _snapshot(evidence, "after")
    nodes = [_node(evidence, after, name, was, becomes) for name, was, becomes in _pairs(before, after, "nodes")]
    unseen = after.data.get("unseen") or {}
    kinds = [
        _kind(evidence, after, kind, was, becomes) for kind, was, becomes in _pairs(before, after, "objects")
        if kind not in unseen
    ]
    kinds += [_unseen(kind, str(why)) for kind, why in sorted(unseen.items())]
    if not nodes:
        raise MissingEvidenceError("the snapshots of the cluster name no node")
    good = f"{len(nodes)} nodes and {len(kinds)} kinds of objects as before"
    summary = sum_up([*nodes, *kinds], lambda _: good)
    return Claim(
        id=ID,
        title=TITLE,
        verdict=summary.verdict,
        measured=sum(part.measured or 0 for part in summary.parts),
        limit=0,
        unit="differences",
        detection="compared are the nodes' cordon, taints and labels, and the objects of the run; nothing else",
        reason=summary.reason,
        evidence=("events.jsonl: cluster/snapshot",),
        hint=_hint(summary),
        parts=summary.parts,
    )


def _hint(summary: Summary) -> str:
    if summary.verdict is Verdict.PASS:
        return ""
    deciding = [part.object for part in summary.parts if part.verdict is summary.verdict]
    if deciding == [f"objects of kind {RETAINED}"]:
        return f"Those who look after the storage list {RETAINED}s, set deletionPolicy to Delete and delete them"
    return "Run: drainproof cleanup" if summary.verdict is Verdict.FAIL else ""


def _snapshot(evidence: Evidence, when: str) -> Event:
    found = [event for event in evidence.of_kind("cluster", "snapshot") if event.data.get("when") == when]
    if not found:
        raise MissingEvidenceError(f"events.jsonl has no snapshot of the cluster {when} the run")
    return found[0] if when == "before" else found[-1]


def _pairs(before: Event, after: Event, what: str) -> Iterator[tuple[str, Any, Any]]:
    was, becomes = before.data.get(what) or {}, after.data.get(what) or {}
    for name in sorted({*was, *becomes}):
        yield name, was.get(name), becomes.get(name)


State = Mapping[str, Any]


def _node(evidence: Evidence, after: Event, name: str, was: State | None, becomes: State | None) -> Part:
    if was is None or becomes is None:
        differences = ["the node is gone" if becomes is None else "the node is new"]
    else:
        differences = list(_differences(was, becomes))
    return _part(evidence, after, f"node {name}", differences)


def _differences(was: Mapping[str, Any], becomes: Mapping[str, Any]) -> Iterator[str]:
    if bool(was.get("unschedulable")) != bool(becomes.get("unschedulable")):
        yield "left cordoned" if becomes.get("unschedulable") else "no longer cordoned"
    old, new = ({_taint(taint) for taint in side.get("taints") or ()} for side in (was, becomes))
    yield from (f"taint {taint} left" for taint in sorted(new - old))
    yield from (f"taint {taint} lost" for taint in sorted(old - new))
    labels_old, labels_new = dict(was.get("labels") or {}), dict(becomes.get("labels") or {})
    for key in sorted({*labels_old, *labels_new}):
        if labels_old.get(key) != labels_new.get(key):
            yield f"label {key} is {labels_new.get(key)!r}, was {labels_old.get(key)!r}"


def _taint(taint: Any) -> str:
    if not isinstance(taint, Mapping):
        return str(taint)
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _kind(evidence: Evidence, after: Event, kind: str, was: Any, becomes: Any) -> Part:
    old, new = set(was or ()), set(becomes or ())
    differences = [f"{name} left behind" for name in sorted(new - old)] + [f"{name} lost" for name in sorted(old - new)]
    return _part(evidence, after, f"objects of kind {kind}", differences)


def _unseen(kind: str, why: str) -> Part:
    return Part(object=f"objects of kind {kind}", verdict=Verdict.UNKNOWN, reason=f"what is left was not seen: {why}")


def _part(evidence: Evidence, after: Event, name: str, differences: list[str]) -> Part:
    return Part(
        object=name,
        verdict=Verdict.FAIL if differences else Verdict.PASS,
        measured=len(differences),
        reason=", ".join(differences) or "as before",
        at=evidence.at(after.t_ns) if differences else "",
    )
