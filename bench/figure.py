"""One measured figure, and how commands are run and timed for it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Figure:
    """A figure with its unit and what is aimed at, in words; an empty aim only informs."""

    name: str
    value: float
    unit: str
    aim: str = ""


def timed(module: str, *arguments: str) -> tuple[float, str]:
    """Run `python -m <module> ...` and return its wall time in seconds and its output; raises when it fails."""
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, check=True,
    )
    return time.perf_counter() - begun, done.stdout


def laboratory(verb: str, name: str, *arguments: str) -> tuple[float, str]:
    """Run a command of the lab of that name."""
    return timed("lab", verb, "--name", name, *arguments)
