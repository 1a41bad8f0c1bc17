"""`python -m bench.instrument.saturator ADDRESS PORT PROBES`: the stopwatch's echo as fast as it is answered."""

from __future__ import annotations

import json
import sys

from load.saturation import saturate


def main(arguments: list[str]) -> int:
    """Print what a probe costs as a line of JSON."""
    address, port, probes = arguments
    found = saturate(address, int(port), int(probes))
    print(json.dumps({"cpu_us_per_probe": found.cpu_us_per_probe, "answered": found.answered / found.probes}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
