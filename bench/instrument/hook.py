"""`python -m bench.instrument.hook CALLS`: what it costs Locust that each of its requests is a sample."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from drainproof.record.spool import Spool
from load.clinic_users import STREAMS, hook
from load.recorder import Recorder

ROUNDS = 25
"""A virtual machine has slow seconds; the best of many short rounds is the cost itself."""


def main(arguments: list[str]) -> int:
    """Print the CPU time of one call of the hook, and of the spool's append alone, as a line of JSON."""
    calls = int(arguments[0])
    spool = Spool.create(STREAMS)
    listener = hook(Recorder([spool], time.monotonic_ns()))
    name = STREAMS[0].partition("/")[2]
    now = time.monotonic_ns()

    def hooked() -> None:
        listener(
            name=name, response_time=12.5, exception=None, request_type="GET", response_length=100, context={},
            response=None, start_time=0.0, url="/doctors",
        )

    def bare() -> None:
        spool.append(0, now, now, now + 1, 0)

    print(json.dumps({"hook_us": _best_us(hooked, calls), "append_us": _best_us(bare, calls)}))
    return 0


def _best_us(call: Callable[[], None], calls: int) -> float:
    """The best of several rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(calls):
            call()
        rounds.append(time.process_time() - begun)
    return 1e6 * min(rounds) / calls


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
