"""Clinic staff at work, as the realistic load: Locust users through the virtual address. Never the stopwatch.

Locust needs gevent's cooperative versions of the standard library, put in place before anything else is imported; so
this module only does that, and only when it is run.
"""

from __future__ import annotations

import sys
from pathlib import Path


def start() -> int:
    """Patch the standard library, then run the users until SIGTERM."""
    from gevent import monkey

    monkey.patch_all()

    from load.clinic_run import main
    from load.observer import run

    return run(lambda plan: main(plan, Path(sys.argv[1])), sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
