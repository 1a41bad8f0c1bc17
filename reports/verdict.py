"""Verdicts: pass, fail or unknown, how they compose, and the claims and parts that carry them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from drainproof.errors import DrainproofError

FORMAT = 1
DECIMALS = 6
NAMED_PARTS = 5
"""How many parts a claim's reason names; all are listed below it."""

Facts = Mapping[str, float | str | None]


class Verdict(StrEnum):
    """What is concluded; only pass certifies."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        """What a command exits with for this verdict: 0 pass, 1 fail, 2 unknown."""
        return {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 2}[self]


class MissingEvidenceError(DrainproofError):
    """The record lacks what a check needs; the message names it."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides: fail beats unknown beats pass; of nothing at all, unknown."""
    seen = set(verdicts)
    for verdict in (Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS):
        if verdict in seen:
            return verdict
    return Verdict.UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Part:
    """The verdict about one object of a claim (a VM, a stream, a migration), so that nothing hides in a sum."""

    object: str
    verdict: Verdict
    reason: str
    measured: float | None = None
    """In the unit of the claim."""
    at: str = ""
    """The moment that decided it, in wall time (UTC) with milliseconds."""
    facts: Facts = field(default_factory=dict)
    """Further measured values, by a name that ends with the unit."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of the certificate, with what was measured, what was allowed and where the evidence is."""

    id: str
    title: str
    verdict: Verdict
    reason: str
    measured: float | None = None
    limit: float | None = None
    bound: str = "at most"
    """How the measured value relates to the limit when the claim holds: at most, at least, or empty (it informs)."""
    unit: str = ""
    detection_limit: float | None = None
    """The smallest value that this instrument is sure to have seen, in the claim's unit."""
    detection: str = ""
    """What the instrument could not have seen, in words."""
    evidence: tuple[str, ...] = ()
    """Files of the case, with the part of them that matters."""
    hint: str = ""
    parts: tuple[Part, ...] = ()


class Better(StrEnum):
    """Which direction of a figure is the better one."""

    LESS = "less"
    MORE = "more"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured quantity of a case, by which runs are compared. It judges nothing."""

    axis: str
    """What is measured, in words: `downtime`, `migration time`, `data moved`."""
    object: str
    """Of what: a stream, a virtual machine, a node; the same name in every run of the same test."""
    value: float | None
    """None: the record does not tell; the reason says why."""
    unit: str
    """s, bytes, bytes/s, 1/s."""
    better: Better = Better.LESS
    reason: str = ""
    resolution: float | None = None
    """Two values that lie closer together than this are not told apart by the instrument; None: it does not tell."""
    at_least: bool = False
    """Whether the true value is at least this: what was measured had not ended, or the observer looked away."""


@dataclass(frozen=True, kw_only=True)
class CaseVerdict:
    """Everything concluded about one case; what verdict.json holds."""

    case: str
    title: str
    verdict: Verdict
    limits: Mapping[str, Any]
    claims: tuple[Claim, ...]
    judged_by: Mapping[str, str]
    figures: tuple[Figure, ...] = ()
    format: int = FORMAT

    def as_json(self) -> dict[str, Any]:
        """The content of verdict.json: numbers rounded, so that judging the same record again gives the same bytes."""
        content = _rounded(asdict(self))
        assert isinstance(content, dict)
        return content

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> CaseVerdict:
        """Raises KeyError, TypeError or ValueError when the content is not a verdict of this format."""
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']} is not the format {FORMAT} that this version reads")
        claims = tuple(_claim(claim) for claim in content["claims"])
        figures = tuple(_figure(figure) for figure in content.get("figures", ()))
        return cls(**{**content, "verdict": Verdict(content["verdict"]), "claims": claims, "figures": figures})


def guarded(claim_id: str, title: str, check: Callable[[], Claim]) -> Claim:
    """The claim that a check makes; a check that cannot make it, or breaks, makes it unknown with the reason."""
    try:
        return check()
    except DrainproofError as error:
        reason, hint = str(error), ""
    except Exception as error:  # noqa: BLE001 - a broken check must neither certify, nor accuse, nor hide the others
        reason = f"the check broke: {type(error).__name__}: {error}"
        hint = "The record is not of the expected shape, or the check has a defect."
    return Claim(id=claim_id, title=title, verdict=Verdict.UNKNOWN, reason=reason, hint=hint)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the parts of a claim amount to."""

    verdict: Verdict
    reason: str
    parts: tuple[Part, ...]


def sum_up(parts: Iterable[Part], good: Callable[[tuple[Part, ...]], str], trouble: str = "") -> Summary:
    """The verdict of parts, and the reason: of those that decide if it is bad, else what `good` says of them all.

    `trouble` is a reason why nothing can pass, whatever the parts say, or empty.
    """
    collected = tuple(parts)
    verdict = worst([*(part.verdict for part in collected), *([Verdict.UNKNOWN] if trouble else [])])
    if verdict is Verdict.PASS:
        return Summary(verdict, good(collected), collected)
    deciding = [f"{part.object}: {part.reason}" for part in collected if part.verdict is verdict]
    more = [f"and {len(deciding) - NAMED_PARTS} more"] if len(deciding) > NAMED_PARTS else []
    reason = "; ".join([*deciding[:NAMED_PARTS], *more, *([trouble] if trouble else [])])
    return Summary(verdict, reason, collected)


def _claim(content: Mapping[str, Any]) -> Claim:
    parts = tuple(Part(**{**part, "verdict": Verdict(part["verdict"])}) for part in content["parts"])
    changed = {"verdict": Verdict(content["verdict"]), "parts": parts, "evidence": tuple(content["evidence"])}
    return Claim(**{**content, **changed})


def _figure(content: Mapping[str, Any]) -> Figure:
    return Figure(**{**content, "better": Better(content["better"])})


def _rounded(content: object) -> object:
    if isinstance(content, float):
        return round(content, DECIMALS)
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return str(content) if isinstance(content, StrEnum) else content
