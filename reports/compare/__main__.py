"""Compare storage classes by runs of the same work on each: `python -m reports.compare RUN_OR_DIR...`.

Exit codes: 0 compared, 2 compared but nothing could be decided, 3 the runs cannot be compared or not be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from drainproof.errors import CannotRunError, DrainproofError
from reports.compare.comparison import Comparison, compare
from reports.compare.options import Options
from reports.compare.outcome import Outcome
from reports.compare.publishing import publish
from reports.compare.runs import STORAGE_CLASS, gather
from reports.compare.terminal import show
from reports.text import clean

COMPARED, UNDECIDED, COULD_NOT = 0, 2, 3


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--by", default=STORAGE_CLASS, show_default=True, metavar="KEY",
              help="what groups the runs: storage-class, or a fact of run.json such as versions.kubevirt")
@click.option("--reference", default="", metavar="GROUP", help="compare the others with this group only")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="write comparison.html, comparison.json, comparison.csv and values.csv there")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(min=0), help="of the bootstrap")
@click.option("--margin", default=0.05, show_default=True, type=click.FloatRange(0, 1),
              help="a difference within this share of the reference is a tie; fix it before you look")
@click.option("--case", "cases", multiple=True, metavar="PATTERN", help="only cases of such a name (`*drain*`)")
@click.option("--axis", "axes", multiple=True, metavar="PATTERN",
              help="only axes of such a name (`downtime`); fewer lines need fewer runs: choose before you look")
@click.option("--alpha", default=0.05, show_default=True, type=click.FloatRange(0, 0.5, min_open=True),
              help="how often all winners together may be due to chance")
@click.option("--allow", multiple=True, metavar="NAME",
              help="let a condition differ, by its name or the beginning of it; it is printed on the report")
def command(
    paths: tuple[Path, ...], by: str, reference: str, out: Path | None, seed: int, margin: float, alpha: float,
    allow: tuple[str, ...], cases: tuple[str, ...], axes: tuple[str, ...],
) -> int:
    """Compare groups of runs, such as storage classes, axis by axis.

    PATHS are runs and directories of runs. The unit is the run: what one run measured several times counts once.

    Exit codes: 0 compared, 2 nothing could be decided, 3 the runs cannot be compared.
    """
    options = Options(
        by=by, reference=reference, seed=seed, margin=margin, alpha=alpha, allow=allow, cases=cases, axes=axes
    )
    comparison = compare(gather(paths, by), options)
    show(comparison, sys.stdout)
    if out is not None:
        for path in publish(comparison, paths, out):
            print(f"written: {clean(path)}")
    return COMPARED if _decided(comparison) else UNDECIDED


def _decided(comparison: Comparison) -> bool:
    decided = (Outcome.BETTER, Outcome.WORSE, Outcome.TIE)
    return any(pair.outcome in decided for row in comparison.leading for pair in row.pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; why runs are not compared is told in a sentence each."""
    try:
        return int(command.main(arguments, prog_name="drainproof compare", standalone_mode=False) or 0)
    except click.ClickException as error:
        reasons: tuple[str, ...] = (error.format_message(),)
    except CannotRunError as error:
        reasons = error.reasons
    except (DrainproofError, OSError) as error:
        reasons = (str(error),)
    except Exception as error:  # noqa: BLE001 - a record that breaks the comparison must not look like another result
        reasons = (f"the comparison itself broke: {type(error).__name__}: {error}",)
    for reason in reasons:
        print(f"could not compare: {clean(reason)}", file=sys.stderr)
    return COULD_NOT


if __name__ == "__main__":
    sys.exit(main())
