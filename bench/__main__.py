"""`python -m bench`: measures the figures one after another and prints a table as they come."""

from __future__ import annotations

import sys

from bench import api_latency, certificate, certification, checkers, comparison, fidelity, fleet, lab_figures
from bench.figure import Figure

MEASUREMENTS = (
    checkers.measure, certificate.measure, lab_figures.measure, api_latency.measure, certification.measure,
    comparison.measure, fidelity.measure, fleet.measure,
)


def main() -> int:
    """Print every figure beside what is aimed at on two cores without hardware virtualisation."""
    print(f"{'figure':<44}{'measured':>14}  aim", flush=True)
    for measure in MEASUREMENTS:
        for figure in measure():
            print(_row(figure), flush=True)
    return 0


def _row(figure: Figure) -> str:
    return f"{figure.name:<44}{figure.value:>10.2f} {figure.unit:<4} {figure.aim}"


if __name__ == "__main__":
    sys.exit(main())
