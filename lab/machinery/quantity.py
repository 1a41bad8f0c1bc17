"""Kubernetes quantities: `500m`, `4Gi`, `1k`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_PATTERN = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)")
UNREADABLE = f"quantities must match the regular expression '^{_PATTERN.pattern}$'"
"""What Kubernetes says of everything that is no quantity."""
_SUFFIXES = {
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
}
_SMALL = {"m": 10**3, "u": 10**6, "n": 10**9}


def readable(value: Any) -> bool:
    """Whether it is a quantity."""
    try:
        return bool(_PATTERN.fullmatch(str(value))) and parse(value).is_finite()
    except ValueError:
        return False


def parse(value: Any) -> Decimal:
    """The quantity in its base unit (cores, bytes, pieces); raises ValueError for what is no quantity."""
    text = str(value).strip()
    try:
        for suffix, factor in _SUFFIXES.items():
            if text.endswith(suffix) and text != suffix:
                return Decimal(text[: -len(suffix)]) * factor
        for suffix, divisor in _SMALL.items():
            if text.endswith(suffix):
                return Decimal(text[:-1]) / divisor
        return Decimal(text)
    except ArithmeticError as error:
        raise ValueError(f"{value!r} is no Kubernetes quantity, such as 500m or 4Gi") from error


def mebibytes(amount: Decimal) -> str:
    """Bytes written in whole MiB, rounded up."""
    return f"{-(-int(amount) // 2**20)}Mi"


def binary(amount: int) -> str:
    """Bytes in the largest binary unit that divides them, as Kubernetes writes a resource.Quantity: 1Gi, 1536Mi, 7."""
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        if amount and amount % _SUFFIXES[suffix] == 0:
            return f"{amount // _SUFFIXES[suffix]}{suffix}"
    return str(amount)
