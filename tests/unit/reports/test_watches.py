"""Watches that tell in order: what they say later proves what they were silent about, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports import watches
from reports.checks.placement import ID as PLACEMENT
from reports.evidence import Evidence
from reports.verdict import Verdict
from reports.watches import unseen
from tests.unit.reports.conftest import ClaimOf
from tests.unit.reports.records import Record
from tests.unit.reports.timeline import END, at

AFTER = END + 5.0


def in_order(record: Record, *heard: float) -> Record:
    """As the watches write that are heard at these times only, beside what changes."""
    for event in record.found("watch", "started"):
        event["data"]["proved"] = "order"
    record.drop("watch", "synced")
    for seconds in heard:
        record.event(seconds, "watch", "synced", "vmi", version="900", by="bookmark")
    return record


def relisted(record: Record, *, unchanged: bool) -> Record:
    """The watch of instances was lost, and a second later all of them were listed again as they had been."""
    seen = {event["object"]: event for event in record.found("watch", "vmi") if event["t_ns"] < at(2)}
    record.event(2.0, "watch", "lost", "vmi", reason="410 Gone")
    for event in seen.values():
        record.event(3.0, "watch", "vmi", event["object"], **{**event["data"], "event": "ADDED"})
    record.event(3.0, "watch", "started", "vmi", version="950", proved="order", unchanged=unchanged)
    return record


def test_what_is_said_later_proves_the_silence_before(record: Record, claim_of: ClaimOf) -> None:
    """Nothing was heard of the whole window until it was over but the changes themselves."""
    assert claim_of(in_order(record, AFTER), PLACEMENT).verdict is Verdict.PASS


def test_without_a_later_word_the_end_is_not_proved(record: Record, claim_of: ClaimOf) -> None:
    """However short the silence: a change may have been on its way."""
    claim = claim_of(in_order(record, END - 0.5), PLACEMENT)
    assert claim.verdict is Verdict.UNKNOWN
    assert "the watch said nothing for 0.5 s" in claim.reason


def test_a_word_of_another_watch_proves_nothing(record: Record, claim_of: ClaimOf) -> None:
    """Each kind is watched by itself."""
    in_order(record).event(AFTER, "watch", "synced", "pod", version="900", by="end")
    assert claim_of(record, PLACEMENT).verdict is Verdict.UNKNOWN


def test_a_word_after_a_break_proves_nothing_of_before(record: Record, claim_of: ClaimOf) -> None:
    """Lost just after the window, before anything more was heard."""
    in_order(record, AFTER).event(END + 1.0, "watch", "lost", "vmi", reason="410 Gone")
    assert "the watch said nothing for" in claim_of(record, PLACEMENT).reason


def test_a_break_after_the_word_does_no_harm(record: Record, claim_of: ClaimOf) -> None:
    """By then all of the window had been told."""
    in_order(record, AFTER).event(AFTER + 1.0, "watch", "lost", "vmi", reason="410 Gone")
    assert claim_of(record, PLACEMENT).verdict is Verdict.PASS


def test_a_watch_taken_up_where_it_was_has_lost_nothing(record: Record, claim_of: ClaimOf) -> None:
    """The server told what had happened meanwhile."""
    in_order(record, AFTER).event(12.0, "watch", "interrupted", "vmi", reason="connection reset")
    assert claim_of(record, PLACEMENT).verdict is Verdict.PASS


@pytest.mark.parametrize(("unchanged", "verdict"), [(True, Verdict.PASS), (False, Verdict.UNKNOWN)])
def test_a_lost_watch_is_excused_by_objects_of_the_same_version_only(
    record: Record, claim_of: ClaimOf, unchanged: bool, verdict: Verdict
) -> None:
    """What has the same version before and after did not change in between."""
    claim = claim_of(relisted(in_order(record, AFTER), unchanged=unchanged), PLACEMENT)
    assert claim.verdict is verdict
    assert ("the watch broke at 00:00:02.000 (410 Gone)" in claim.reason) is not unchanged


def test_long_silence_is_told_late(monkeypatch: pytest.MonkeyPatch, record: Record, claim_of: ClaimOf) -> None:
    """What was told then may have happened long before: the times of the record are wrong."""
    monkeypatch.setattr(watches, "UNHEARD_SECONDS", 4.0)
    assert "the watch said nothing for" in claim_of(in_order(record, AFTER), PLACEMENT).reason


def test_nobody_saw_between_the_last_word_and_the_first_after_a_loss(record: Record, tmp_path: Path) -> None:
    """A broken connection is noticed late; where a watch is proved each few seconds, it was the loss that counted."""
    in_order(record, 10.0, 15.0, AFTER)
    record.drop("watch", "vmi", lambda event: event["t_ns"] > at(0))
    record.event(14.0, "watch", "lost", "vmi", reason="410 Gone")
    evidence = Evidence.of(record.write(tmp_path / "run"))
    assert [(span.begin, span.end) for span in unseen(evidence, "vmi", evidence.window.span)] == [(at(10.0), at(15.0))]
