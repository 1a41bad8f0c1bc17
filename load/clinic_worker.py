"""One of several Locust workers over whom clinic staff are spread: `python -m load.clinic_worker PLAN HOST:PORT INDEX`.

It finds its master, the clinic observer, at HOST:PORT, lets the users work that it is given, and sends every sample to
its master, who alone writes. Like `load.clinic` it only puts gevent in place before anything else is imported.
"""

from __future__ import annotations

import sys


def start() -> int:
    """Patch the standard library, then work until the master says that it is over."""
    from gevent import monkey

    monkey.patch_all()

    from load.clinic_forwarding import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(start())
