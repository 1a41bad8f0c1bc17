"""Text as shown: foreign strings without control characters, numbers with fitting precision."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from reports.verdict import Claim, Figure, Verdict

DANGEROUS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that steer a terminal, reorder text or are not allowed in XML."""
SYMBOLS = ("s", "ms")
"""What may stand behind a number; a claim's unit is such a symbol, a comma and what is measured, or words only."""
AT_LEAST = "at least"
"""Stands before a figure whose true value may be larger."""
MOST_DECIMALS = 9
DECISION = {Verdict.PASS: "GO", Verdict.FAIL: "NO-GO", Verdict.UNKNOWN: "UNDECIDED"}


def clean(text: object) -> str:
    """The text with every control, formatting and lone surrogate character made visible as an escape."""
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    harmless = unicodedata.category(character) not in DANGEROUS and ord(character) not in (0xFFFE, 0xFFFF)
    return character if harmless else character.encode("unicode_escape", "backslashreplace").decode("ascii")


def number(value: float | None, beside: float | None = None) -> str:
    """A measured value: counts whole, small values with three decimals, large ones with one.

    It has as many more as it needs to be other than zero, and on the same side of what stands beside it.
    """
    if value is None:
        return "–"
    if float(value).is_integer():
        return str(int(value))
    others = [other for other in (0.0, beside) if other is not None and other != value]
    for decimals in range(3 if abs(value) < 100 else 1, MOST_DECIMALS):
        shown = f"{value:.{decimals}f}"
        if all(float(shown) != other and (float(shown) > other) == (value > other) for other in others):
            return shown
    return f"{value:.{MOST_DECIMALS}g}"


def measured(claim: Claim) -> str:
    """The measured value with its symbol: `0.651 s`; it never looks like a limit that it is not."""
    if claim.measured is None:
        return "–"
    return f"{number(claim.measured, claim.limit)} {_split(claim)[0]}".strip()


def with_symbol(value: float | None, claim: Claim) -> str:
    """A value in the unit of a claim, without the words: `2 s`, `0`."""
    return f"{number(value)} {_split(claim)[0]}".strip() if value is not None else "–"


def of_what(claim: Claim) -> str:
    """What the measured value counts or is the size of: `longest gap`, `lost or differing rows`."""
    return _split(claim)[1]


def _split(claim: Claim) -> tuple[str, str]:
    head, _, rest = claim.unit.partition(", ")
    return (head, rest) if head in SYMBOLS else ("", claim.unit)


def quantity(value: float | None, unit: str) -> str:
    """A figure with its unit: bytes in binary multiples, times as milliseconds when they are short."""
    if value is None:
        return "–"
    if unit.startswith("bytes"):
        for multiple in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024 or multiple == "GiB":
                return f"{value:.1f} {multiple}{unit.removeprefix('bytes')}"
            value /= 1024
    if unit == "s" and 0 < abs(value) < 1:
        return f"{1000 * value:.1f} ms"
    return f"{number(value)} {unit}".strip()


def value(figure: Figure) -> str:
    """A figure's value with its unit, marked when the true one may be larger; without one, why."""
    if figure.value is None:
        return figure.reason or "not told"
    return (f"{AT_LEAST} " if figure.at_least else "") + quantity(figure.value, figure.unit)


def allowed(claim: Claim) -> str:
    """What the claim allows: `at most 2 s`."""
    if not claim.bound:
        return "informs only"
    return f"{claim.bound} {with_symbol(claim.limit, claim)}" if claim.limit is not None else "–"


def summary(claims: Sequence[Claim]) -> str:
    """How many claims hold, fail or lack evidence, in a sentence."""
    counts = Counter(claim.verdict for claim in claims)
    if counts[Verdict.PASS] == len(claims):
        return f"all {len(claims)} claims hold"
    told = [f"{counts[Verdict.FAIL]} failed"] if counts[Verdict.FAIL] else []
    told += [f"{counts[Verdict.UNKNOWN]} could not be decided"] if counts[Verdict.UNKNOWN] else []
    return f"of {len(claims)} claims {' and '.join(told)}, {counts[Verdict.PASS]} hold"
