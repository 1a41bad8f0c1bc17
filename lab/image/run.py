"""Running the builder's tools so that nothing of theirs outlives the builder."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.image.errors import ImageError

_TAIL_LINES = 15


def run(argv: Sequence[str | Path], *, stdin: bytes | None = None) -> str:
    """Run a command and return its standard output.

    The command dies with the builder. ImageError with the last lines it printed when it fails.
    """
    command = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, argv)]
    done = subprocess.run(command, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          capture_output=True, check=False)
    if done.returncode != 0:
        tail = (done.stdout + done.stderr).decode(errors="replace").strip().splitlines()[-_TAIL_LINES:]
        raise ImageError(f"{Path(argv[0]).name} failed with status {done.returncode}: " + "\n  ".join(tail))
    return done.stdout.decode(errors="replace")


def run_isolated(argv: Sequence[str | Path], *, network: bool) -> str:
    """Run a command in mount and process namespaces of its own, which vanish with it whatever ends it.

    Without `network` it sees no network but its own loopback device.
    """
    isolation = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", *([] if network else ["--net"])]
    return run([*isolation, "--", *argv])
