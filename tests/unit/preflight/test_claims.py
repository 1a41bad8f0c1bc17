"""Who claims nodes just now: told by the leases, as far as they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fixtures.preflight.claims import Claim, claims, told
from tests.unit.preflight.sites import Site

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MARKS = {"drainproof.io/who": "ann@host", "drainproof.io/until": "2026-01-01T14:00:00Z"}


def lease(name: str, holder: str, renewed: str, **annotations: str) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": f"2026-01-01T{renewed}.000000Z"}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": spec}


def test_a_claim_tells_who_and_until_when() -> None:
    """One that is stale is none, nor is a lease of another kind; one without marks says what it can."""
    site = Site({"leases": [
        lease("drainproof-node-a", "r/one", "11:59:30", **MARKS), lease("drainproof-node-b", "s/two", "11:59:30"),
        lease("drainproof-node-c", "t/dead", "11:58:30", **MARKS), lease("drainproof-r", "r", "11:59:30"),
    ]})
    assert claims(site.cluster, "default", lambda: NOW) == {
        "a": Claim("a", "r/one", "ann@host", "2026-01-01T14:00:00Z"), "b": Claim("b", "s/two", "", ""),
    }


def test_who_may_not_see_them_is_told_nothing() -> None:
    assert claims(Site(refused={"leases": 403}).cluster, "default", lambda: NOW) == {}


def test_a_run_with_several_nodes_is_named_once() -> None:
    """And nodes that nobody asked about not at all."""
    held = {name: Claim(name, "r/one", "ann@host", "T") for name in ("a", "b", "z")}
    held["c"] = Claim("c", "s/two", "", "")
    assert told(held, ("a", "b", "c", "d")) == "a, b by r/one of ann@host until T at the latest; c by s/two"
