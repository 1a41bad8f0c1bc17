"""A case that lost the claim of a node does not pass, whatever else was seen."""

from __future__ import annotations

from tests.unit.reports.conftest import Judge
from tests.unit.reports.records import Record

ID = "nodes.claimed"


def test_a_run_that_kept_its_nodes_says_nothing_of_it(record: Record, judged: Judge) -> None:
    verdict = judged(record)
    assert str(verdict.verdict) == "pass"
    assert ID not in {claim.id for claim in verdict.claims}


def test_a_lost_claim_leaves_the_case_unknown_however_well_it_went(record: Record, judged: Judge) -> None:
    record.event(40, "run", "claim-lost", "node-a", holder="run-2/drain", reason="...")
    verdict = judged(record)
    (claim,) = (one for one in verdict.claims if one.id == ID)
    assert (str(verdict.verdict), claim.verdict) == ("unknown", "unknown")
    assert "node node-a to run-2/drain" in claim.reason
