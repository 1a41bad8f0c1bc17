"""The colours of the certificate, light and dark, by what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LIGHT: Final[Mapping[str, str]] = {
    "page": "#eef1f4", "paper": "#ffffff", "ink": "#1f2933", "muted": "#56626e", "rule": "#dde3e8", "grid": "#e7ebef",
    "soft": "#f4f6f8", "accent": "#0b5f86", "on-tone": "#ffffff",
    "pass": "#1d6b43", "fail": "#b3261e", "unknown": "#855600",
    "pass-tint": "#eef7f1", "fail-tint": "#fdf1f0", "unknown-tint": "#fdf7e8",
    "drain": "#8a6a1f", "fault": "#a8323f", "calm": "#5f6d7a", "pause": "#1f2933",
    "wait": "#9aa7b3", "prepare": "#6f9fc4", "copy": "#2f76ad",
    "whole": "#357a55", "reduced": "#a8323f",
    "heat-none": "#b3261e", "heat-half": "#e9b06a", "heat-full": "#d6e5ee", "heat-more": "#8fb8d1",
    "vm0": "#0b6e99", "vm1": "#b9500f", "vm2": "#2e7d4f", "vm3": "#7a4fa3", "vm4": "#806000", "vm5": "#a3345f",
    "vm6": "#3f51b5", "vm7": "#00796b", "vm8": "#5d4037", "other": "#5c6873",
}
DARK: Final[Mapping[str, str]] = {
    "page": "#0d1217", "paper": "#151b22", "ink": "#e6ebf0", "muted": "#a3b0bc", "rule": "#2c3640", "grid": "#26303a",
    "soft": "#1d252e", "accent": "#6cc0e8", "on-tone": "#10161c",
    "pass": "#6fcf9a", "fail": "#ff8f86", "unknown": "#e8bd5c",
    "pass-tint": "#14251d", "fail-tint": "#2b1a1b", "unknown-tint": "#28210f",
    "drain": "#d9b45c", "fault": "#f08a94", "calm": "#8b99a7", "pause": "#e6ebf0",
    "wait": "#5f6d7a", "prepare": "#4d7ea6", "copy": "#6fb3e0",
    "whole": "#5cb58a", "reduced": "#f08a94",
    "heat-none": "#ff7a70", "heat-half": "#b5803c", "heat-full": "#24394a", "heat-more": "#4a7896",
    "vm0": "#5ab4dc", "vm1": "#f0955a", "vm2": "#6cc391", "vm3": "#b794e0", "vm4": "#d6b24a", "vm5": "#ea86ae",
    "vm6": "#9aa8ee", "vm7": "#4dc0b2", "vm8": "#c8a79b", "other": "#a3b0bc",
}
MACHINES: Final = 9
"""So many virtual machines are told apart; then colours begin anew."""
TEXT_PAIRS: Final = (
    ("ink", "paper"), ("ink", "soft"), ("ink", "page"), ("muted", "paper"), ("muted", "soft"), ("muted", "page"),
    ("accent", "paper"), ("accent", "soft"),
    *((name, ground) for name in ("pass", "fail", "unknown") for ground in (f"{name}-tint", "paper")),
    *(("on-tone", name) for name in ("pass", "fail", "unknown", "drain", "fault", "calm", "copy", "whole", "reduced")),
    *(("on-tone", f"vm{number}") for number in range(MACHINES)),
    *((text, f"{name}-tint") for text in ("ink", "muted") for name in ("pass", "fail", "unknown")),
)
"""Which colours stand as text on which: a contrast of 4.5 at least."""
MARK_PAIRS: Final = tuple(
    (name, "paper") for name in (*(f"vm{number}" for number in range(MACHINES)), "other", "drain", "fault", "calm",
                                 "copy", "pause", "whole", "reduced", "fail", "accent")
)
"""Which colours stand as marks of a chart on which: a contrast of 3 at least."""


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2.2 defines it, 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def machine(number: int) -> str:
    """The colour of the virtual machine of that number."""
    return f"vm{number % MACHINES}"


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
