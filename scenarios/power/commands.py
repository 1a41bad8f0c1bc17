"""Runs a command from a template, without a shell: `{node}` in any word is the node's name."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from scenarios.power.driver import PowerError

TIMEOUT_SECONDS = 60.0
SHOWN_CHARACTERS = 300


def run(template: Sequence[str], node: str, *, allowed: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run it and return what it said. Raises PowerError when it ends with another exit code or not in time.

    The error names the program and what it said, not its arguments: a template may hold what is nobody's business.
    """
    argv = [word.replace("{node}", node) for word in template]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=TIMEOUT_SECONDS, check=False,
        )
    except subprocess.TimeoutExpired:
        raise PowerError(f"{node}: {argv[0]} did not end within {TIMEOUT_SECONDS:.0f} s.") from None
    except OSError as error:
        raise PowerError(f"{node}: {argv[0]} cannot be run: {error.strerror}.") from None
    if done.returncode not in allowed:
        said = (done.stderr.strip() or done.stdout.strip())[:SHOWN_CHARACTERS]
        raise PowerError(f"{node}: {argv[0]} ended with exit code {done.returncode}: {said or 'it said nothing'}.")
    return done
