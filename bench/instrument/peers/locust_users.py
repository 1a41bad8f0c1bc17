"""`python -m bench.instrument.peers.locust_users HOST OUT USERS RATE`: Locust's own users; each request goes to OUT.

At the end OUT is a NumPy file of begin, end and success; a rate of 0 is as fast as they can.
"""

from __future__ import annotations

import signal
import sys
import time
from array import array

import gevent
import numpy as np
from locust import FastHttpUser, constant, constant_throughput, task
from locust.env import Environment


class Visitor(FastHttpUser):
    """Asks for the same page again and again."""

    @task
    def look(self) -> None:
        self.client.get("/", name="page")


def main(arguments: list[str]) -> int:
    """Work until SIGINT, then write everything down."""
    host, out, users, rate = arguments
    kept = array("q")

    def keep(response_time: float, exception: BaseException | None, **_: object) -> None:
        end = time.monotonic_ns()
        kept.extend((end - round(response_time * 1e6), end, exception is None))

    pace = constant_throughput(float(rate)) if float(rate) else constant(0)
    visitor = type("Visitor", (Visitor,), {"wait_time": pace})
    environment = Environment(user_classes=[visitor], host=host, stop_timeout=0)
    environment.events.request.add_listener(keep)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    runner.start(int(users), spawn_rate=int(users))
    ended = gevent.event.Event()
    gevent.signal_handler(signal.SIGINT, ended.set)
    ended.wait()
    runner.quit()
    np.save(out, np.frombuffer(kept, np.int64).reshape(-1, 3))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
