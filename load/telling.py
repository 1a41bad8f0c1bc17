"""How the stopwatch's children tell their parent what happened: JSON lines that never hold them up."""

from __future__ import annotations

import json
import os
import time
from typing import Any


class Teller:
    """Writes lines to a pipe; one that finds the pipe full is dropped and counted, because a stopwatch cannot wait."""

    def __init__(self, fd: int = 1) -> None:
        self.dropped = 0
        self.broken = False
        """Nobody reads any more."""
        self._fd = fd
        os.set_blocking(fd, False)

    def tell(self, kind: str, subject: str = "", t_ns: int | None = None, **facts: Any) -> None:
        """One event, by default of now."""
        line = {"t_ns": time.monotonic_ns() if t_ns is None else t_ns, "kind": kind, "object": subject, "data": facts}
        try:
            os.write(self._fd, json.dumps(line).encode() + b"\n")
        except BlockingIOError:
            self.dropped += 1
        except BrokenPipeError:
            self.broken = True
