"""Runs the pod's program until its harness needs it no more, is lost, or the pod is deleted."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from drainproof.errors import CannotRunError
from drainproof.exchange import clock_identity
from load.inside.children import Children
from load.inside.server import Desk, serve
from load.plan import PASSWORD_VARIABLE, Plan

PORT = 8470
LONELY_SECONDS = 300.0
"""After this long without a word from its harness a pod ends: longer than any fault of the API that a case makes."""
LOST, DELETED = 4, 143


def prepared(files: Path, scratch: Path, address: str) -> Desk:
    """Read what the harness has given and adapt the plan to this pod; raises CannotRunError when it is unusable."""
    try:
        plan = json.loads((files / "plan.json").read_text(encoding="utf-8"))
        password, token = ((files / name).read_text(encoding="utf-8") for name in ("password", "token"))
        results = scratch / "case"
        results.mkdir(parents=True, exist_ok=True)
        mine = scratch / "plan.json"
        mine.write_text(json.dumps({**plan, "case_dir": str(results), "metrics_address": address}), encoding="utf-8")
    except (OSError, ValueError, TypeError) as error:
        raise CannotRunError(f"What the harness gives in {files} cannot be used: {error}; mount its Secret.") from error
    Plan.read(mine)
    children = Children(mine, results / "logs", {PASSWORD_VARIABLE: password})
    return Desk(children, results, token, clock_identity())


def run(desk: Desk) -> int:
    """Wait for the end; the exit code says how it came."""
    code = 0

    def deleted(_number: int, _frame: FrameType | None) -> None:
        nonlocal code
        code = DELETED
        desk.over.set()

    signal.signal(signal.SIGTERM, deleted)
    while not desk.over.wait(1.0):
        if time.monotonic() - desk.heard > LONELY_SECONDS:
            print(f"nobody has asked for {LONELY_SECONDS:.0f} s; ending", file=sys.stderr)
            code = LOST
            break
    desk.children.end()
    return code


def main() -> int:
    """Serve; 3 when that is impossible."""
    try:
        files, scratch, address = (_variable(f"DRAINPROOF_CLIENT_{name}") for name in ("FILES", "SCRATCH", "ADDRESS"))
        desk = prepared(Path(files), Path(scratch), address)
        server = serve(desk, address, PORT)
    except (CannotRunError, OSError) as error:
        print(error, file=sys.stderr)
        return 3
    code = run(desk)
    server.shutdown()
    return code


def _variable(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise CannotRunError(f"The variable {name} is not set; start this program by the harness' Job.")


if __name__ == "__main__":
    threading.current_thread().name = "inside"
    sys.exit(main())
