"""The answer of a gate and its reasons: each names its object, what was expected, what was seen, and a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reports.verdict import Verdict, worst

FORMAT = 1
WORDS = {Verdict.PASS: "GO", Verdict.FAIL: "NO-GO", Verdict.UNKNOWN: "UNKNOWN"}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why the answer is not GO."""

    against: bool
    """Whether it speaks against (NO-GO), or only not for (UNKNOWN)."""
    object: str
    expected: str
    seen: str
    remedy: str

    @property
    def answer(self) -> Verdict:
        """What the answer is at best with this reason."""
        return Verdict.FAIL if self.against else Verdict.UNKNOWN


def against(object: str, expected: str, seen: str, remedy: str) -> Reason:
    """A reason for NO-GO."""
    return Reason(against=True, object=object, expected=expected, seen=seen, remedy=remedy)


def lacking(object: str, expected: str, seen: str, remedy: str) -> Reason:
    """A reason for UNKNOWN."""
    return Reason(against=False, object=object, expected=expected, seen=seen, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often one test was repeated on one storage class, and what that shows."""

    test: str
    storage_class: str
    passed: int
    failed: int
    undecided: int
    wanted: int
    fault_rate: float
    """The share of failing runs is at most this, with the confidence."""
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a gate answers."""

    policy: str
    policy_sha256: str
    now: str
    """The moment for which the answer was given, RFC 3339 in UTC."""
    reasons: tuple[Reason, ...]
    notes: tuple[str, ...]
    """What was left out or differs without being a reason, in sentences."""
    tallies: tuple[Tally, ...]
    runs: tuple[Mapping[str, Any], ...]

    @property
    def verdict(self) -> Verdict:
        """GO only without any reason, and with something that was counted."""
        if not self.reasons:
            return Verdict.PASS if self.tallies else Verdict.UNKNOWN
        return worst(reason.answer for reason in self.reasons)

    def as_json(self) -> dict[str, Any]:
        """The same for the same runs, policy and moment."""
        told = [{"answer": WORDS[reason.answer], **_without(asdict(reason), "against")} for reason in self.reasons]
        return {
            "format": FORMAT, "answer": WORDS[self.verdict], "policy": self.policy,
            "policy_sha256": self.policy_sha256, "now": self.now, "reasons": told, "notes": list(self.notes),
            "tallies": [asdict(tally) for tally in self.tallies], "runs": [dict(run) for run in self.runs],
        }


def _without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}
