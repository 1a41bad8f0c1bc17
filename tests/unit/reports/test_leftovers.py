"""The cluster was left as it was found: what nobody saw does not pass, what a snapshot class retains is told."""

from __future__ import annotations

from typing import Any

import pytest

from reports.verdict import Claim
from tests.unit.reports.conftest import Judge
from tests.unit.reports.storage_records import disk_record

KIND = "VolumeSnapshotContent"


def restored(judged: Judge, before: dict[str, Any], after: dict[str, Any]) -> Claim:
    """The claim, of snapshots of the cluster that tell these objects, or why they were not seen."""
    record = disk_record()
    for event, told in zip(record.found("cluster", "snapshot"), (before, after), strict=True):
        objects = {kind: names for kind, names in told.items() if isinstance(names, list)}
        unseen = {kind: why for kind, why in told.items() if isinstance(why, str)}
        event["data"] |= {"objects": {**event["data"]["objects"], **objects}, **({"unseen": unseen} if unseen else {})}
    (claim,) = (one for one in judged(record).claims if one.id == "cluster.restored")
    return claim


@pytest.mark.parametrize(
    ("before", "after", "verdict", "reason"),
    [
        ([], [], "pass", "3 kinds of objects as before"),
        ([], ["kept"], "fail", f"objects of kind {KIND}: kept left behind"),
        ("may not", "may not", "unknown", f"objects of kind {KIND}: what is left was not seen: may not"),
        (["kept"], "may not", "unknown", "what is left was not seen: may not"),
        ("may not", ["kept"], "fail", "kept left behind"),
        ("may not", [], "pass", "as before"),
    ],
)
def test_what_was_not_seen_afterwards_does_not_pass(
    judged: Judge, before: Any, after: Any, verdict: str, reason: str
) -> None:
    claim = restored(judged, {KIND: before}, {KIND: after})
    assert str(claim.verdict) == verdict
    assert reason in claim.reason
    assert bool(claim.hint) == (verdict != "pass")


@pytest.mark.parametrize(
    ("more", "remedy"), [({}, "deletionPolicy"), ({"Namespace": ["default", "left"]}, "Run: drainproof cleanup")]
)
def test_the_remedy_fits_what_is_left(judged: Judge, more: dict[str, Any], remedy: str) -> None:
    """No journal knows what a snapshot class retains; everything else is undone by the command."""
    assert remedy in restored(judged, {KIND: []}, {KIND: ["kept"], **more}).hint
