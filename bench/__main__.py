"""`python -m bench [PART...]`: measures the figures one after another and prints a table as they come."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench import api_latency, certificate, certification, checkers, comparison, fidelity, fleet, lab_figures
from bench.figure import Figure

MEASUREMENTS = {
    "checkers": checkers.measure, "certificate": certificate.measure, "lab": lab_figures.measure,
    "api": api_latency.measure, "certification": certification.measure, "comparison": comparison.measure,
    "fidelity": fidelity.measure, "fleet": fleet.measure,
}


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(list(MEASUREMENTS)))
def main(parts: Sequence[str]) -> None:
    """Print every figure, or those of some parts, beside what is aimed at on two cores without hardware virtualisation.
    """
    print(f"{'figure':<44}{'measured':>14}  aim", flush=True)
    for part in parts or MEASUREMENTS:
        for figure in MEASUREMENTS[part]():
            print(_row(figure), flush=True)


def _row(figure: Figure) -> str:
    return f"{figure.name:<44}{figure.value:>10.2f} {figure.unit:<4} {figure.aim}"


if __name__ == "__main__":
    main()
